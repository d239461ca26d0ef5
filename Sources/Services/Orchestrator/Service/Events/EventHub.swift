internal import Contracts
internal import FoundationEssentials
internal import Logging
internal import MessageBus
internal import NATS
internal import ServiceLifecycle
internal import Synchronization

/// Wakes the event streams of this replica's clients when something happened to their task, on whichever replica.
///
/// Only a doorbell: what a client is sent comes from Postgres or continues it without a gap.
final class EventHub: Service {
    /// Streams open at once; further clients get 503.
    static let watchersMax = 10_000
    /// Events waiting for one slow stream; beyond that it reads from Postgres.
    static let bufferMax = 64
    /// Each watcher reads again this often, in case its signal was lost; a fifth of them each second.
    static let rereadSeconds = 5

    /// What a watcher hears.
    enum Signal: Sendable {
        case event(TaskEvent)
        /// Something may have been missed: read again.
        case reread
    }

    private struct State {
        var watchers: [TaskID: [Int: AsyncStream<Signal>.Continuation]] = [:]
        var count = 0
        var nextNumber = 0
    }

    private let bus: MessageBus
    private let logger: Logger
    private let state = Mutex(State())

    init(bus: MessageBus, logger: Logger) {
        self.bus = bus
        self.logger = logger
    }

    func run() async throws {
        try await runUntilShutdown {
            try await withThrowingTaskGroup(of: Void.self) { group in
                group.addTask { try await self.listen() }
                group.addTask { for await _ in self.bus.connectionEvents() { self.reread { _ in true } } }
                group.addTask { try await self.rereadInTurns() }
                try await group.waitForAll()
            }
        }
    }

    /// Signals about one task from now on; nil when too many streams are open. Ends with the consumer.
    func watch(_ task: TaskID) -> AsyncStream<Signal>? {
        let (stream, continuation) = AsyncStream<Signal>.makeStream(bufferingPolicy: .bufferingNewest(Self.bufferMax))
        let number = state.withLock { state -> Int? in
            guard state.count < Self.watchersMax else { return nil }
            state.count += 1
            state.nextNumber += 1
            state.watchers[task, default: [:]][state.nextNumber] = continuation
            return state.nextNumber
        }
        guard let number else { return nil }
        continuation.onTermination = { [weak self] _ in self?.forget(task, number) }
        return stream
    }

    var watcherCount: Int { state.withLock { $0.count } }

    private func forget(_ task: TaskID, _ number: Int) {
        state.withLock { state in
            guard state.watchers[task]?.removeValue(forKey: number) != nil else { return }
            state.count -= 1
            if state.watchers[task]?.isEmpty == true { state.watchers[task] = nil }
        }
    }

    /// Reads only the bodies of events that somebody here waits for.
    private func listen() async throws {
        for try await message in try bus.subscribeRaw(Channel<TaskEvent>.allEvents, bufferCount: 4096) {
            guard let task = message.subject.split(separator: ".").last.flatMap({ TaskID($0) }) else { continue }
            let watchers = state.withLock { $0.watchers[task].map { Array($0.values) } ?? [] }
            if watchers.isEmpty { continue }
            do {
                let event = try TaskEvent(json: JSON(parsing: message.payload))
                for watcher in watchers { watcher.yield(.event(event)) }
            } catch {
                logger.warning("an event could not be read", metadata: ["error": "\(error)"])
                for watcher in watchers { watcher.yield(.reread) }
            }
        }
    }

    private func rereadInTurns() async throws {
        var turn = 0
        while true {
            try await Task.sleep(for: .seconds(1))
            turn = (turn + 1) % Self.rereadSeconds
            reread { [turn] in $0 % Self.rereadSeconds == turn }
        }
    }

    private func reread(_ isChosen: (Int) -> Bool) {
        let chosen = state.withLock { state in
            state.watchers.values.flatMap { $0.filter { isChosen($0.key) }.values }
        }
        for watcher in chosen { watcher.yield(.reread) }
    }
}
