internal import Contracts
internal import SandboxExecutorCore
internal import Storage

/// The last events of a run.
enum SandboxEvents {
    /// What was not told while it ran: the end of its output, and that it has ended.
    static func finale(_ execution: Execution, _ outcome: SandboxOutcome) -> [SandboxEvent] {
        guard let pieces = execution.ending?.pieces else {
            return Transcript.events(
                of: execution.id, attempt: execution.lastTry, outcome: outcome, pieces: Pieces())
        }
        return finale(execution.id, execution.tries, outcome, Pieces(text: pieces) ?? Pieces())
    }

    static func finale(
        _ execution: ExecutionID, _ attempt: Int, _ outcome: SandboxOutcome, _ pieces: Pieces
    ) -> [SandboxEvent] {
        Array(
            Transcript.events(of: execution, attempt: attempt, outcome: outcome, pieces: pieces).dropFirst(
                1 + pieces.count))
    }
}
