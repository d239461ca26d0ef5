internal import Contracts
internal import FoundationEssentials

/// Waits for a task's end, shows it, and says which exit code it means.
struct TaskWaiting: Sendable {
    let client: APIClient
    let task: TaskID
    let console: Console

    func run(showsEvents: Bool, isJSON: Bool, atMostSeconds: Int?) async throws -> ExitStatus {
        let view = TaskView(console: console, isJSON: isJSON)
        try await StopSignals.with { stop in
            try await withThrowingTaskGroup(of: Ended.self) { group in
                group.addTask {
                    _ = try await TaskFollower(client: client, task: task).run(
                        event: { event in
                            guard showsEvents else { return }
                            view.show(event)
                            if event.kind == .reviewDecided, !isJSON { await showReview(event) }
                        }, outage: { view.showOutage($0) }
                    )
                    return .task
                }
                group.addTask {
                    await view.animate()
                    await Latch().wait()
                    return .task
                }
                group.addTask {
                    await stop.wait()
                    return .interrupted
                }
                group.addTask {
                    await Results.lost.wait()
                    return .unread
                }
                if let atMostSeconds {
                    group.addTask {
                        try await Task.sleep(for: .seconds(atMostSeconds))
                        return .timeout
                    }
                }
                defer { group.cancelAll() }
                let ended = try await group.next() ?? .task
                console.clearStatus()
                try check(ended, atMostSeconds)
            }
        }
        console.clearStatus()
        let document = try TaskDocument(json: try await client.get("/tasks/\(task)").json)
        if isJSON { console.print(document.json.text) } else { TaskPrinter(console: console).printResult(document) }
        return document.exitStatus ?? .other
    }

    /// Who voted what and why, below the line that says what came of it.
    private func showReview(_ event: TaskEvent) async {
        do {
            var data = try JSONReader(event.data)
            let review = try await client.get("/reviews/\(try data.reviewID("session_id"))").json
            try ReviewPrinter(console: console).print(review)
        } catch is CancellationError {
            // Whoever followed has gone.
        } catch {
            console.note("This review cannot be shown: \(error)")
        }
    }

    private enum Ended: Sendable {
        case task, interrupted, timeout
        /// What is shown reaches nobody any more.
        case unread
    }

    private func check(_ ended: Ended, _ seconds: Int?) throws {
        let next = "golden tasks follow \(task)   Or stop it: golden tasks cancel \(task)"
        switch ended {
        case .task: return
        case .unread: throw ExitStatus.interrupted
        case .interrupted:
            console.note("The task goes on. Next: \(next)")
            throw ExitStatus.interrupted
        case .timeout:
            throw CLIError(
                .timedOut, "The task has not ended within \(Spans.text(seconds: Double(seconds ?? 0))).",
                kept: "It goes on.", next: next
            )
        }
    }
}
