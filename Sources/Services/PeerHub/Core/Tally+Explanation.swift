package import Contracts

extension Tally {
    /// The decision with its explanation, once there is one: what is stored and served.
    package func outcome(atDeadline: Bool) -> ReviewOutcome? {
        guard let ruling = ruling(atDeadline: atDeadline) else { return nil }
        return ReviewOutcome(status: ruling.status, score: score, explanation: explanation(of: ruling))
    }

    /// Roles whose approval would have reached the quorum with everybody else's vote as it is. Nobody when it was
    /// reached.
    package var deciders: [AgentRole] {
        guard !suffices(weightFor) else { return [] }
        return terms.seats.map(\.role).filter { role in
            let changed = replacing(role, with: .approve)
            return changed.suffices(changed.weightFor)
        }
    }

    private func explanation(of ruling: Ruling) -> JSON {
        JSONWriter.object { writer in
            writer.field("decision", ruling.status.rawValue)
            writer.field("reason", reason(of: ruling).rawValue)
            writer.field("summary", summary(of: ruling))
            writer.field("score", decimal: score)
            writer.field("against", decimal: Self.text(weightAgainst))
            writer.field("weight_total", decimal: terms.total.description)
            writer.field("quorum", decimal: terms.quorum.description)
            writer.field("needed", decimal: neededText)
            writer.field("short_by", decimal: shortText)
            writer.field(
                "contributions",
                array: { writer in
                    for seat in terms.seats {
                        guard let vote = votes[seat.role] else { continue }
                        writer.element(object: { Self.write(vote, seat, to: &$0) })
                    }
                })
            writer.field(
                "not_voted",
                array: { writer in
                    for seat in terms.seats where votes[seat.role] == nil {
                        writer.element(object: {
                            $0.field("role", seat.role.text)
                            $0.field("weight", decimal: seat.weight.description)
                        })
                    }
                })
            writer.field("could_have_passed_alone", deciders.map(\.text))
        }
    }

    private static func write(_ vote: CastVote, _ seat: ReviewTerms.Seat, to writer: inout JSONWriter) {
        let contribution =
            switch vote.choice {
            case .approve: 2 * seat.weight.tenThousandths
            case .conditional: seat.weight.tenThousandths
            case .reject, .abstain: 0
            }
        writer.field("role", seat.role.text)
        writer.field("reviewer", vote.reviewer)
        writer.field("vote", vote.choice.rawValue)
        writer.field("weight", decimal: seat.weight.description)
        writer.field("contribution", decimal: text(contribution))
    }

    private func summary(of ruling: Ruling) -> String {
        let stand = "\(score) of the \(neededText) needed"
        switch ruling {
        case .approved: return "Approved with \(stand)."
        case .rejected:
            let against = Self.text(weightAgainst)
            return "Rejected: votes against weigh \(against), so that \(stand) could not become enough."
        case .escalated where reason(of: ruling) == .tie:
            return "Escalated: as much weight for it as against it (\(score)), \(neededText) needed."
        case .escalated: return "Escalated: \(stand) when nothing more could come of it."
        }
    }

    /// Quorum × total, with the eight places their product may have.
    private var neededText: String { FixedPoint.text(needed, places: 8) }

    private var shortText: String {
        FixedPoint.text(max(0, needed - weightFor * Weight.one.tenThousandths / 2), places: 8)
    }

    private var needed: Int { terms.quorum.tenThousandths * terms.total.tenThousandths }
}
