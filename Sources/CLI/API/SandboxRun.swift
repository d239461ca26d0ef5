internal import Contracts
internal import FoundationEssentials

/// Has a program run and shows what it writes, over as many connections as it takes.
struct SandboxRun: Sendable {
    static let retryAfter: Duration = .milliseconds(500)
    static let outageMax: Duration = .seconds(60)

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
                group.addTask {
                    await stop.wait()
                    return !stop.isOpen
                }
                defer { group.cancelAll() }
                // Ctrl-C cancels the run; then its end is awaited like any other.
                while let isOver = try await group.next(), !isOver {
                    console.note("golden: canceling")
                    do { _ = try await client.post("/sandbox/executions/\(id)/cancel", .emptyObject) } catch {
                        console.note("\(error)")
                    }
                }
                return try await client.get("/sandbox/executions/\(id)").json
            }
        }
    }

    private func follow(_ id: String) async throws {
        var after = 0
        var lastSign = ContinuousClock.now
        while true {
            var isOver = false
            do {
                try await client.events(at: "/sandbox/executions/\(id)/events", after: after) { received in
                    lastSign = .now
                    let event = try SandboxEvent(json: try JSON(parsing: received.data.utf8))
                    after = event.number
                    switch event.kind {
                    case .start: break
                    case .output(let stream, _, let bytes): show(bytes, from: stream)
                    case .exit: isOver = true
                    }
                    return !isOver
                }
                if isOver { return }
            } catch let error as CLIError where error.isPassing {
                guard ContinuousClock.now - lastSign < Self.outageMax else { throw error }
            }
            try await Task.sleep(for: Self.retryAfter)
        }
    }

    private func show(_ bytes: [UInt8], from stream: SandboxEvent.Stream) {
        guard showsOutput else { return }
        switch stream {
        case .stdout: FileHandles.standardOutput.write(bytes)
        case .stderr: FileHandles.standardError.write(bytes)
        }
    }
}
