import Contracts
import OrchestratorCore

/// A mistake put into the world around the cores, as if a core or a constraint had it. The checks must find each.
enum Plant: String, CaseIterable, Sendable {
    /// A report of an older attempt passes for one of the current attempt.
    case attemptFence
    /// A row is written by what a replica remembers of it, although it has changed since.
    case rowGuard
    /// A commit that comes again finds its hold still pending.
    case repeatedCharge
    /// A vote that comes again takes another seat, too.
    case repeatedVote
    /// The outcome of a call counts, although the breaker has opened and closed since the call began.
    case lateCall
    /// A message that says that the peers decided counts for whichever review the task waits for.
    case reviewFence

    /// The event as the machine would see it if it did not look at what it belongs to.
    func disguised(_ event: TaskMachine.Event, for task: TaskRecord) -> TaskMachine.Event {
        guard self == .attemptFence, case .reported(let report) = event, let lease = task.lease else { return event }
        return .reported(
            AgentReport(
                task: report.task, attempt: task.attempt, leaseToken: lease.token, agent: report.agent,
                body: report.body))
    }
}
