internal import AgentWorkerCore
internal import Contracts

/// One piece of work as a back end sees it.
struct Assignment: Sendable {
    let item: WorkItem
    /// The work item as it came over the wire.
    let bytes: [UInt8]
    let stop: StopSignal
    /// Where the work stands in its trace.
    var traceparent: String?
    /// Reports progress and returns when it is stored, so that a program that reports faster is slowed down.
    let progress: @Sendable (StderrReader.Progress) async -> Void
}

/// How work on an assignment ended.
enum WorkEnd: Sendable {
    case reported(AgentReport.Body)
    /// It was told to stop before it was done; what it had consumed by then.
    case stopped(AgentReport.Usage?)
    /// It cannot be done now, by no fault of its own, and nothing was consumed: the same attempt is for whoever can.
    case handedBack(after: Duration)
}

extension WorkEnd {
    /// What was consumed, as far as it is known.
    var usage: AgentReport.Usage? {
        switch self {
        case .reported(let body): body.usage
        case .stopped(let usage): usage
        case .handedBack: nil
        }
    }
}

/// How much work a back end can use.
enum Intake: Sendable, Equatable {
    case everything
    /// One item at a time, to find out.
    case one
    case nothing
}

/// What does the work.
protocol Backend: Sendable {
    /// Works until done or until `stop` says so. Nothing of the work may run any more when this returns.
    func work(on assignment: Assignment) async -> WorkEnd

    /// Runs beside all work; returns when the task is cancelled.
    func run() async throws

    /// How much work it can use from now on; everything until it says otherwise. Has one reader.
    var intake: AsyncStream<Intake> { get }
}

extension Backend {
    func run() async throws {
        // Most have nothing to do beside the work.
        try await Task.sleep(for: .seconds(Int32.max))
    }

    var intake: AsyncStream<Intake> { AsyncStream { _ in } }
}

/// Returns the input as the output: for trying things out and for measuring.
///
/// An input such as `{"echo": {"sleep_ms": 250}}` takes that long, `{"echo": {"fail": "code"}}` fails permanently, and
/// `{"echo": {"progress": 3}}` reports progress that often.
struct EchoBackend: Backend {
    private static let sleepMillisecondsMax = 3_600_000
    private static let progressMax = 100

    func work(on assignment: Assignment) async -> WorkEnd {
        let input = assignment.item.input
        guard let orders = Self.orders(in: input) else { return .reported(.completed(output: input, usage: nil)) }
        for number in 0..<min(orders["progress"]?.int ?? 0, Self.progressMax) {
            await assignment.progress(StderrReader.Progress(message: "echo \(number + 1)"))
        }
        if let milliseconds = orders["sleep_ms"]?.int, milliseconds > 0 {
            await sleep(min(milliseconds, Self.sleepMillisecondsMax), unless: assignment.stop)
            if assignment.stop.reason != nil || Task.isCancelled { return .stopped(nil) }
        }
        if let code = orders["fail"]?.string {
            let failure = AgentReport.Failure(code: code, message: "As the input asked.", isRetryable: false)
            return .reported(.failed(failure))
        }
        return .reported(.completed(output: input, usage: nil))
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
