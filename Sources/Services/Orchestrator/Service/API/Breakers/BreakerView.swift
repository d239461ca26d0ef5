internal import Contracts
internal import Coordination

/// Circuit breakers as the API shows them.
enum BreakerView {
    /// - Parameter here: how it stands on the replica that answers; nil when it does not use it.
    static func document(_ overview: BreakerOverview, here: BreakerStatus?) -> JSON {
        JSONWriter.object { writer in
            writer.field("name", overview.name)
            // While the fleet cannot be asked, what counts is what this replica does.
            writer.field("state", (overview.isCurrent ? overview.state : here?.state ?? overview.state).word)
            writer.field("mode", overview.mode.word)
            writer.field("version", overview.version)
            writer.field("shared", overview.isCurrent)
            if !overview.reason.isEmpty { writer.field("reason", overview.reason) }
            if !overview.actor.isEmpty { writer.field("actor", overview.actor) }
            writer.field("in_state_seconds", overview.ageSeconds)
            writer.field(ifPresent: "half_open_in_seconds", overview.opensProbesInSeconds)
            writer.field(ifPresent: "expires_in_seconds", overview.modeEndsInSeconds)
            if overview.state == .halfOpen {
                writer.field("probes", overview.probes)
                writer.field("probes_succeeded", overview.probesSucceeded)
            }
            if let here { writer.field("here", object: { write(here, to: &$0) }) }
            writer.field(
                "votes",
                array: { writer in
                    for vote in overview.votes { writer.element(object: { write(vote, to: &$0) }) }
                })
        }
    }

    private static func write(_ here: BreakerStatus, to writer: inout JSONWriter) {
        writer.field("state", here.state.word)
        writer.field("decided_by", here.origin.rawValue)
        writer.field("calls", here.calls)
        writer.field("failures", here.failures)
        writer.field("slow", here.slow)
    }

    private static func write(_ vote: BreakerOverview.Vote, to writer: inout JSONWriter) {
        writer.field("replica", vote.replica)
        writer.field("state", vote.own.word)
        writer.field("votes_open", vote.isVote)
        writer.field("calls", vote.calls)
        writer.field("failures", vote.failures)
        writer.field("slow", vote.slow)
    }
}
