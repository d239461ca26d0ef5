/// How a replay ended for one letter. The raw values stand in a letter's history and in a replay's counts.
package enum LetterOutcome: String, Sendable, CaseIterable {
    /// It is on its way again.
    case replayed
    /// Its task has ended: nothing revives it. Submit it anew.
    case taskEnded = "task_ended"
    /// Its task went on without it; another attempt does the work.
    case superseded
    /// It names a task that does not exist.
    case unknownTask = "unknown_task"
    /// No stream takes its subject, or the letter holds the beginning of its message only.
    case notDeliverable = "not_deliverable"
}
