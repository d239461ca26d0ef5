internal import AgentWorkerCore
internal import Contracts

/// One piece of work as a back end sees it.
struct Assignment: Sendable {
    let item: WorkItem
    /// The work item as it came over the wire.
    let bytes: [UInt8]
    let stop: StopSignal
    /// Reports progress and returns when it is stored, so that a program that reports faster is slowed down.
    let progress: @Sendable (StderrReader.Progress) async -> Void
}

/// What does the work.
protocol Backend: Sendable {
    /// Works until done or until `stop` says so; nil when it was stopped first. Nothing of the work may run any more
    /// when this returns.
    func work(on assignment: Assignment) async -> AgentReport.Body?

    /// Runs beside all work; returns when the task is cancelled.
    func run() async throws
}

/// Returns the input as the output: for trying things out and for measuring.
///
/// An input such as `{"echo": {"sleep_ms": 250}}` takes that long, `{"echo": {"fail": "code"}}` fails permanently, and
/// `{"echo": {"progress": 3}}` reports progress that often.
struct EchoBackend: Backend {
    private static let sleepMillisecondsMax = 3_600_000
    private static let progressMax = 100

    func work(on assignment: Assignment) async -> AgentReport.Body? {
        let input = assignment.item.input
        guard let orders = Self.orders(in: input) else { return .completed(output: input, usage: nil) }
        for number in 0..<min(orders["progress"]?.int ?? 0, Self.progressMax) {
            await assignment.progress(StderrReader.Progress(message: "echo \(number + 1)"))
        }
        if let milliseconds = orders["sleep_ms"]?.int, milliseconds > 0 {
            await sleep(min(milliseconds, Self.sleepMillisecondsMax), unless: assignment.stop)
            if assignment.stop.reason != nil { return nil }
        }
        if let code = orders["fail"]?.string {
            return .failed(AgentReport.Failure(code: code, message: "As the input asked.", isRetryable: false))
        }
        return .completed(output: input, usage: nil)
    }

    func run() async throws {
        try await Task.sleep(for: .seconds(Int32.max))
    }

    private static func orders(in input: JSON) -> [String: JSON]? {
        // Most inputs hold none, and looking costs as much as the rest of an echo.
        guard input.kind == .object, let fields = input.fields,
            let orders = fields.first(where: { $0.name == "echo" })?.value.fields
        else { return nil }
        return Dictionary(orders.map { ($0.name, $0.value) }) { first, _ in first }
    }

    private func sleep(_ milliseconds: Int, unless stop: StopSignal) async {
        await withTaskGroup(of: Void.self) { group in
            group.addTask { await stop.wait() }
            group.addTask {
                do {
                    try await Task.sleep(for: .milliseconds(milliseconds))
                } catch {
                    // Stopped; the caller knows why.
                }
            }
            await group.next()
            group.cancelAll()
        }
    }
}
