internal import Contracts
internal import FoundationEssentials

/// Has a program run and shows what it writes, over as many connections as it takes.
struct SandboxRun: Sendable {
    let client: APIClient
    let console: Console
    let showsOutput: Bool

    /// The run as the API shows it at its end.
    func run(_ program: SandboxProgram) async throws -> JSON {
        let key = "\(UUID())".lowercased()
        var answer = try JSONReader(
            try await client.post("/sandbox/execute", program.json, idempotencyKey: key, isAsynchronous: true).json)
        let id = try answer.string("id")
        return try await StopSignals.with { stop in
            try await withThrowingTaskGroup(of: Bool.self) { group in
                group.addTask {
                    try await follow(id)
                    return true
                }
                for end in [stop, Results.lost] {
                    group.addTask {
                        await end.wait()
                        return !end.isOpen
                    }
                }
                defer { group.cancelAll() }
                // Ctrl-C, or that nobody reads its output, cancels the run; then its end is awaited like any other.
                while let isOver = try await group.next(), !isOver {
                    if stop.isOpen { console.note("golden: canceling") }
                    do { _ = try await client.post("/sandbox/executions/\(id)/cancel", .emptyObject) } catch {
                        console.note("\(error)")
                    }
                }
                return try await client.get("/sandbox/executions/\(id)").json
            }
        }
    }

    /// Whatever becomes of its last event, the run itself says how it ended.
    private func follow(_ id: String) async throws {
        let path = "/sandbox/executions/\(id)/events"
        try await EventFollower(client: client, path: path, mayEndSilently: true).run(
            { received, after in
                let event = try Self.decode(received)
                after = event.number
                switch event.kind {
                case .start: break
                case .output(let stream, _, let bytes): show(bytes, from: stream)
                case .exit: return false
                }
                return true
            }, outage: { _ in })
    }

    /// What cannot be read now cannot be read on the next connection either.
    private static func decode(_ received: ServerSentEventParser.Event) throws(CLIError) -> SandboxEvent {
        do {
            return try SandboxEvent(json: try JSON(parsing: received.data.utf8))
        } catch {
            throw CLIError(.badAnswer, "An event of the run cannot be read.", underlying: error)
        }
    }

    private func show(_ bytes: [UInt8], from stream: SandboxEvent.Stream) {
        guard showsOutput else { return }
        switch stream {
        case .stdout: Results.write(bytes)
        case .stderr: FileHandles.standardError.write(bytes)
        }
    }
}
