package import Contracts
package import FoundationEssentials

/// Which attempts this agent works on, and what to do when something happens to them. Pure: no clock, no I/O.
///
/// ```
///   received ─▶ running ─▶ (finished) ─▶ acknowledge
///                  │
///                  └─▶ stopping(canceled | deadline | superseded | shutdown) ─▶ (finished) ─▶ acknowledge or give back
/// ```
package struct LeaseBook: Sendable, Equatable {
    /// Why a work item is stopped before it ended by itself.
    package enum StopReason: String, Sendable, Equatable {
        /// Asked for on `control.cancel.<task>`. Reported as such, so that the task need not wait out its grace.
        case canceled
        /// Its deadline is so near that only the failure can still be reported in time.
        case deadline
        /// A newer attempt of the same task arrived here; results of this one change nothing.
        case superseded
        /// This agent shuts down and the drain time is over: others take the work at once.
        case shutdown
    }

    package enum Phase: Sendable, Equatable {
        case running
        case stopping(StopReason)
    }

    package struct Key: Sendable, Hashable {
        package let task: TaskID
        package let attempt: Int

        package init(task: TaskID, attempt: Int) {
            self.task = task
            self.attempt = attempt
        }
    }

    package struct Entry: Sendable, Equatable {
        /// When to stop so that the failure still arrives before the deadline.
        package let stopAt: Date
        package let deadline: Date
        package var phase: Phase
    }

    package enum Event: Sendable, Equatable {
        /// A delivery arrived.
        case received(Key, deadline: Date, now: Date)
        /// The work ended or was stopped; nothing of it runs any more. `isReported`: its outcome is stored.
        case finished(Key, isReported: Bool)
        /// A cancel notice: every attempt up to `attempt` stops.
        case canceled(TaskID, upTo: Int)
        /// Time passed.
        case tick(now: Date)
        /// Take nothing more, let run what runs.
        case drainBegan
        /// The drain time is over.
        case drainEnded
    }

    package enum Action: Sendable, Equatable {
        /// Run it.
        case start(Key)
        /// The same attempt was delivered again: keep running it, and use the new delivery from now on.
        case adopt(Key)
        /// Too late, outdated or canceled before it arrived: acknowledge without running it.
        case drop(Key)
        /// Hand it back at once.
        case giveBack(Key)
        case stop(Key, StopReason)
        /// It is done with.
        case acknowledge(Key)
    }

    /// A failure reported this long before the deadline is still in time; at most a tenth of what time there was.
    package static let reportMarginSeconds: TimeInterval = 1

    /// Cancellations of work that is still in the queue are remembered, the newest ones, so that it is not begun.
    package static let noticesMax = 10_000

    package private(set) var entries: [Key: Entry] = [:]
    package private(set) var isDraining = false
    /// The attempt held of each task; a task has one at most that is not being stopped.
    private var current: [TaskID: Int] = [:]
    private var notices: [TaskID: Int] = [:]
    private var noticesByAge: [TaskID] = []

    package init() {}

    package mutating func apply(_ event: Event) -> [Action] {
        switch event {
        case .received(let key, let deadline, let now): return receive(key, deadline, now)
        case .finished(let key, let isReported): return finish(key, isReported)
        case .canceled(let task, let attempt):
            remember(task, attempt)
            return stop(.canceled) { key, _ in key.task == task && key.attempt <= attempt }
        case .tick(let now): return stop(.deadline) { _, entry in entry.stopAt <= now }
        case .drainBegan:
            isDraining = true
            return []
        case .drainEnded:
            isDraining = true
            return stop(.shutdown) { _, _ in true }
        }
    }

    private mutating func receive(_ key: Key, _ deadline: Date, _ now: Date) -> [Action] {
        if entries[key] != nil { return [.adopt(key)] }
        if deadline <= now || key.attempt <= notices[key.task] ?? 0 { return [.drop(key)] }
        if isDraining { return [.giveBack(key)] }
        var actions: [Action] = []
        if let held = current[key.task] {
            if held > key.attempt { return [.drop(key)] }
            actions = stop(.superseded) { other, _ in other.task == key.task }
        }
        let margin = min(Self.reportMarginSeconds, deadline.timeIntervalSince(now) / 10)
        entries[key] = Entry(stopAt: deadline.addingTimeInterval(-margin), deadline: deadline, phase: .running)
        current[key.task] = key.attempt
        return actions + [.start(key)]
    }

    private mutating func remember(_ task: TaskID, _ attempt: Int) {
        if notices.updateValue(attempt, forKey: task) == nil { noticesByAge.append(task) }
        // Forgotten by halves, so that forgetting stays cheap.
        guard noticesByAge.count > Self.noticesMax else { return }
        for task in noticesByAge.prefix(Self.noticesMax / 2) { notices[task] = nil }
        noticesByAge.removeFirst(Self.noticesMax / 2)
    }

    private mutating func finish(_ key: Key, _ isReported: Bool) -> [Action] {
        guard let entry = entries.removeValue(forKey: key) else { return [] }
        if current[key.task] == key.attempt { current[key.task] = nil }
        switch entry.phase {
        case .stopping(.shutdown): return [isReported ? .acknowledge(key) : .giveBack(key)]
        case .running, .stopping(.canceled), .stopping(.deadline), .stopping(.superseded): return [.acknowledge(key)]
        }
    }

    private mutating func stop(_ reason: StopReason, where matches: (Key, Entry) -> Bool) -> [Action] {
        var actions: [Action] = []
        for (key, entry) in entries where entry.phase == .running && matches(key, entry) {
            entries[key]?.phase = .stopping(reason)
            actions.append(.stop(key, reason))
        }
        return actions
    }
}
