internal import Contracts

/// Reads a task's events to the end, over as many connections as it takes.
struct TaskFollower: Sendable {
    static let backoffFirst: Duration = .milliseconds(250)
    static let backoffMax: Duration = .seconds(5)
    /// Without any event or answer for this long, following ends with an error.
    static let outageMax: Duration = .seconds(120)

    let client: APIClient
    let task: TaskID

    /// Calls `event` for each event, once and in order, and `outage` when a connection was lost.
    /// - Returns: the last event.
    func run(
        event: (TaskEvent) async -> Void, outage: (CLIError) async -> Void
    ) async throws -> TaskEvent {
        var after = 0
        var last: TaskEvent?
        var backoff = Self.backoffFirst
        var lastSign = ContinuousClock.now
        while true {
            do {
                try await client.events(at: "/tasks/\(task)/events", after: after) { received in
                    guard let decoded = try Self.decode(received), decoded.sequence > after else { return true }
                    after = decoded.sequence
                    lastSign = .now
                    backoff = Self.backoffFirst
                    await event(decoded)
                    if decoded.kind.endsTask { last = decoded }
                    return last == nil
                }
                if let last { return last }
                // The server ended the stream in good order, as it does when it restarts: so it is there.
                lastSign = .now
            } catch let error as CLIError where error.isPassing {
                guard ContinuousClock.now - lastSign < Self.outageMax else { throw error }
                await outage(error)
            }
            try await Task.sleep(for: backoff)
            backoff = min(backoff * 2, Self.backoffMax)
        }
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
            .fileUnreadable, .badAnswer, .timedOut, .noSecret:
            false
        }
    }
}
