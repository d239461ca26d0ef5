internal import Contracts

/// Reads a task's events to the end, over as many connections as it takes.
struct TaskFollower: Sendable {
    let client: APIClient
    let task: TaskID

    /// Calls `event` for each event, once and in order, and `outage` when a connection was lost.
    /// - Returns: the last event.
    func run(
        event: (TaskEvent) async -> Void, outage: (CLIError) async -> Void
    ) async throws -> TaskEvent {
        var last: TaskEvent?
        let follower = EventFollower(client: client, path: "/tasks/\(task)/events")
        try await follower.run(
            { received, after in
                guard let decoded = try Self.decode(received), decoded.sequence > after else { return true }
                after = decoded.sequence
                await event(decoded)
                if decoded.kind.endsTask { last = decoded }
                return last == nil
            }, outage: outage)
        guard let last else { preconditionFailure("Following ends with the event that ends the task.") }
        return last
    }

    /// Nil for a kind of event that this build does not know.
    static func decode(_ received: ServerSentEventParser.Event) throws -> TaskEvent? {
        guard received.name.map({ TaskEvent.Kind(rawValue: $0) != nil }) ?? true else { return nil }
        do {
            return try TaskEvent(json: try JSON(parsing: received.data.utf8))
        } catch {
            throw CLIError(.badAnswer, "An event of the task cannot be read.", underlying: error)
        }
    }
}

extension CLIError {
    /// True when the same request may work a moment later.
    var isPassing: Bool {
        switch code {
        case .unreachable: true
        case .refused: isTransient
        case .usage, .missingProgram, .stackRunning, .stackNotRunning, .portTaken, .processFailed, .folderUnusable,
            .fileUnreadable, .badAnswer, .timedOut, .noSecret, .outputLost:
            false
        }
    }
}
