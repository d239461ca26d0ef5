internal import Contracts
internal import FoundationEssentials
internal import Synchronization

/// Draws a followed task: one line per event and, on a terminal, a status line that shows it is alive.
final class TaskView: Sendable {
    static let frames = Array("⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏")
    static let frameEvery: Duration = .milliseconds(100)

    private struct State {
        var words = "waiting for the first event"
        var attempt = 0
        var frame = 0
        var firstAt: Date?
    }

    private let console: Console
    private let isJSON: Bool
    private let started = ContinuousClock.now
    private let state = Mutex(State())

    init(console: Console, isJSON: Bool) {
        self.console = console
        self.isJSON = isJSON
    }

    func show(_ event: TaskEvent) {
        let firstAt = state.withLock { state in
            state.words = Self.words(event.kind)
            state.attempt = event.attempt
            state.firstAt = state.firstAt ?? event.at
            return state.firstAt ?? event.at
        }
        if isJSON {
            console.print(event.json.text)
        } else {
            let time = Self.clock(event.at.timeIntervalSince(firstAt))
            let kind = Self.words(event.kind)
            let padded = kind + String(repeating: " ", count: max(0, 12 - kind.count))
            let line = "\(console.styled(time, .dim))  \(console.styled(padded, Self.style(event.kind)))"
            let detail = Self.detail(event)
            console.print(detail.isEmpty ? line : "\(line)  \(detail)")
        }
    }

    func showOutage(_ error: CLIError) {
        state.withLock { $0.words = "connection lost, trying again" }
        if !console.isInteractive { console.note("connection lost, trying again: \(error.message)") }
    }

    /// Redraws the status line until cancelled.
    func animate() async {
        guard console.isInteractive else { return }
        while !Task.isCancelled {
            let line = state.withLock { state in
                state.frame = (state.frame + 1) % Self.frames.count
                let seconds = Double((ContinuousClock.now - started) / .milliseconds(1)) / 1000
                let attempt = state.attempt > 1 ? " · attempt \(state.attempt)" : ""
                return "\(Self.frames[state.frame]) \(state.words)\(attempt) · \(Spans.text(seconds: seconds))"
            }
            console.showStatus(line)
            do { try await Task.sleep(for: Self.frameEvery) } catch { break }
        }
        console.clearStatus()
    }

    /// `+  0.412 s`
    static func clock(_ seconds: Double) -> String {
        let milliseconds = Int((max(0, seconds) * 1000).rounded())
        let fraction = "\(milliseconds % 1000)"
        let text = "\(milliseconds / 1000).\(String(repeating: "0", count: 3 - fraction.count))\(fraction) s"
        return "+" + String(repeating: " ", count: max(0, 9 - text.count)) + text
    }

    static func words(_ kind: TaskEvent.Kind) -> String {
        switch kind {
        case .created: "accepted"
        case .dispatched: "dispatched"
        case .progress: "progress"
        case .retrying: "retrying"
        case .stageCompleted: "stage done"
        case .canceling: "canceling"
        case .completed: "completed"
        case .failed: "failed"
        case .canceled: "canceled"
        case .rejected: "rejected"
        case .escalated: "escalated"
        case .reworking: "sent back"
        case .executionRequested: "in the sandbox"
        case .executed: "tested"
        case .reviewRequested: "in review"
        case .reviewDecided: "reviewed"
        case .approvalRequested: "asks for approval"
        case .approved: "approved"
        case .resolved: "resolved"
        }
    }

    static func style(_ kind: TaskEvent.Kind) -> Console.Style {
        switch kind {
        case .completed, .approved: .green
        case .failed, .rejected: .red
        case .retrying, .canceling, .canceled, .escalated, .reworking: .yellow
        case .created, .dispatched, .stageCompleted, .approvalRequested, .resolved, .reviewRequested, .reviewDecided,
            .executionRequested, .executed:
            .bold
        case .progress: .cyan
        }
    }

    /// The parts of the event's data that people want in one line; the rest is in `--json`.
    static func detail(_ event: TaskEvent) -> String {
        let fields = event.data.fields ?? []
        func text(_ name: String) -> String? {
            guard let value = fields.first(where: { $0.name == name })?.value else { return nil }
            return value.string ?? (value.kind == .number ? value.text : nil)
        }
        var parts: [String] = []
        if event.kind == .reviewRequested || event.kind == .reviewDecided || event.kind == .reworking {
            if let round = text("round") { parts.append("round \(round)") }
            if let decision = text("decision") { parts.append(decision) }
        }
        if event.kind == .executed {
            parts += ["status", "isolation"].compactMap(text)
            if let cpu = text("cpu_ms") { parts.append("\(cpu) ms of CPU") }
        }
        parts += ["message", "reason", "code", "stage"].compactMap(text)
        if let role = text("role") { parts.append("for \(role)") }
        if let agent = text("agent") ?? text("author") { parts.append("by \(agent)") }
        if event.kind == .reviewRequested, let session = text("session_id") { parts.append("session \(session)") }
        if event.kind == .executionRequested, let execution = text("execution_id") {
            parts.append("execution \(execution)")
        }
        if event.kind == .dispatched || event.kind == .retrying { parts.append("attempt \(event.attempt)") }
        return Table.printable(parts.joined(separator: " · "))
    }
}
