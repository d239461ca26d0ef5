internal import Bootstrap
internal import Contracts
internal import Logging
internal import MessageBus
internal import NATS
internal import ServiceLifecycle
internal import Synchronization

/// Passes on what executors tell of runs to whoever watches one here, and reminds them to look for themselves.
final class SandboxHub: Service {
    /// Runs watched at once; further watchers get 503.
    static let watchersMax = 2000
    /// Events waiting for one watcher; beyond that it asks for them again.
    static let bufferMax = 512
    static let tickEvery: Duration = .milliseconds(500)

    enum Signal: Sendable {
        case event(SandboxEvent)
        /// Something may have been missed: look at what is stored.
        case look
    }

    private struct State {
        var watchers: [ExecutionID: [Int: AsyncStream<Signal>.Continuation]] = [:]
        var count = 0
        var next = 0
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
                group.addTask {
                    while true {
                        try await Task.sleep(for: Self.tickEvery)
                        self.remind()
                    }
                }
                try await group.waitForAll()
            }
        }
    }

    /// Signals about one run from now on; nil when too many are watched. Ends with the consumer.
    func watch(_ execution: ExecutionID) -> AsyncStream<Signal>? {
        let (stream, continuation) = AsyncStream<Signal>.makeStream(bufferingPolicy: .bufferingNewest(Self.bufferMax))
        let number = state.withLock { state -> Int? in
            guard state.count < Self.watchersMax else { return nil }
            state.count += 1
            state.next += 1
            state.watchers[execution, default: [:]][state.next] = continuation
            return state.next
        }
        guard let number else { return nil }
        continuation.onTermination = { [weak self] _ in self?.forget(execution, number) }
        return stream
    }

    private func forget(_ execution: ExecutionID, _ number: Int) {
        state.withLock { state in
            guard state.watchers[execution]?.removeValue(forKey: number) != nil else { return }
            state.count -= 1
            if state.watchers[execution]?.isEmpty == true { state.watchers[execution] = nil }
        }
    }

    private func listen() async throws {
        for try await message in try bus.subscribeRaw(Channel<SandboxEvent>.allSandboxEvents, bufferCount: 4096) {
            guard let id = message.subject.split(separator: ".").last.flatMap({ ExecutionID($0) }) else { continue }
            let watchers = state.withLock { state in state.watchers[id].map { Array($0.values) } ?? [] }
            if watchers.isEmpty { continue }
            do throws(JSONError) {
                let event = try SandboxEvent(json: JSON(parsing: message.payload))
                for watcher in watchers { watcher.yield(.event(event)) }
            } catch {
                logger.warning("an event of a run could not be read", metadata: ["error": "\(error)"])
            }
        }
    }

    private func remind() {
        let all = state.withLock { $0.watchers.values.flatMap(\.values) }
        for watcher in all { watcher.yield(.look) }
    }
}
