internal import Contracts
internal import HTTPEdge
internal import PeerHubCore

/// How the API shows reviews: never with the tokens that prove a seat.
enum ReviewView {
    static func summary(_ session: ReviewSession) -> JSON { JSONWriter.object { write(session, to: &$0) } }

    static func document(_ session: ReviewSession, votes: [ReviewVote]) -> JSON {
        JSONWriter.object { writer in
            write(session, to: &writer)
            writer.field("votes", array: { for vote in votes { $0.element(self.vote(vote)) } })
            if case .decided(let decision) = session.phase {
                writer.field("explanation", decision.outcome.explanation)
            }
        }
    }

    static func impact(_ impact: Impact, reviewer: String?) -> JSON {
        JSONWriter.object { writer in
            writer.field("role", impact.role.text)
            writer.field(ifPresent: "reviewer", reviewer)
            writer.field("weight", decimal: impact.weight.description)
            writer.field("vote", impact.choice?.rawValue ?? none)
            writer.field("decisive", impact.isDecisive)
            writer.field(
                "alternatives",
                array: { writer in
                    for alternative in impact.alternatives {
                        writer.element(object: {
                            $0.field("vote", alternative.choice?.rawValue ?? none)
                            $0.field("status", alternative.status.rawValue)
                            $0.field("score", decimal: alternative.score)
                        })
                    }
                })
        }
    }

    /// In place of a vote.
    static let none = "none"

    private static func write(_ session: ReviewSession, to writer: inout JSONWriter) {
        writer.field("id", session.id.description)
        writer.field("tenant", session.tenant.text)
        writer.field("task_id", session.task.description)
        writer.field("attempt", session.attempt)
        writer.field("round", session.round)
        writer.field("status", session.status.rawValue)
        writer.field("author", session.author)
        writer.field("author_owner", session.authorOwner)
        writer.field("artifact_sha256", session.artifact.description)
        writer.field("quorum", decimal: session.terms.quorum.description)
        writer.field("weight_total", decimal: session.terms.total.description)
        writer.field(
            "reviewers",
            array: { writer in
                for seat in session.terms.seats {
                    writer.element(object: {
                        $0.field("role", seat.role.text)
                        $0.field("weight", decimal: seat.weight.description)
                    })
                }
            })
        writer.field("opened_at", Timestamp.text(session.openedAt))
        writer.field("deadline", Timestamp.text(session.deadline))
        switch session.phase {
        case .open: break
        case .decided(let decision):
            writer.field("score", decimal: decision.outcome.score)
            writer.field("decided_at", Timestamp.text(decision.at))
        case .canceled(let at): writer.field("decided_at", Timestamp.text(at))
        }
    }

    private static func vote(_ vote: ReviewVote) -> JSON {
        JSONWriter.object { writer in
            writer.field("role", vote.cast.role.text)
            writer.field("reviewer", vote.cast.reviewer)
            writer.field("owner", vote.owner)
            writer.field("vote", vote.cast.choice.rawValue)
            writer.field("weight", decimal: vote.weight.description)
            writer.field("rationale", vote.opinion.rationale)
            writer.field("concerns", vote.opinion.concerns)
            writer.field("voted_at", Timestamp.text(vote.votedAt))
        }
    }
}
