/// Where a task stands.
///
/// ```
///             ┌────────────── retry after backoff ──────────────┐
///             ▼                                                  │
///  POST ─▶ queued ─▶ developing │ testing │ reviewing │ deploying │ awaiting_approval
///             │          │                                       │
///             │          ├─▶ queued (next stage) ─▶ … ─▶ completed
///             │          ├─▶ failed · rejected · escalated
///             └──────────┴─▶ canceling ─▶ canceled
/// ```
/// A task leaves a terminal state never.
package enum TaskState: String, Sendable, CaseIterable {
    /// Waits in Postgres for the dispatcher.
    case queued
    /// An agent works (a stage of kind `work`).
    case developing
    /// The sandbox runs (kind `execute`).
    case testing
    /// Peers review (kind `review`).
    case reviewing
    /// An agent delivers (kind `work` with that state).
    case deploying
    /// A human decides (kind `approve`).
    case awaitingApproval = "awaiting_approval"
    /// The supervisor decides.
    case escalated
    /// Cancellation was asked for while somebody worked; fenced at the end of the grace.
    case canceling
    case completed
    case failed
    case canceled
    case rejected

    package var isTerminal: Bool {
        switch self {
        case .completed, .failed, .canceled, .rejected: true
        case .queued, .developing, .testing, .reviewing, .deploying, .awaitingApproval, .escalated, .canceling: false
        }
    }

    /// An agent of the stage's role holds, or will be handed, this task's work message.
    package var occupiesAgent: Bool {
        switch self {
        case .developing, .deploying, .canceling: true
        case .queued, .testing, .reviewing, .awaitingApproval, .escalated, .completed, .failed, .canceled, .rejected:
            false
        }
    }
}
