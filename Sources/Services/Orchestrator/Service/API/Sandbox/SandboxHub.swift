internal import Bootstrap
internal import Contracts
internal import Logging
internal import MessageBus
internal import NATS
internal import ServiceLifecycle
internal import Storage

/// Passes on what executors tell of runs to whoever watches one here, and looks itself for the ends that nobody told.
final class SandboxHub: Service {
    /// Watchers at once; further ones get 503. With those of tasks fewer than the server has connections.
    static let watchersMax = 2000
    /// Events waiting for one watcher; beyond that it asks for them again.
    static let bufferMax = 512
    /// How often it looks which of the watched runs have ended, in one statement. Most ends are told before.
    static let lookEvery: Duration = .seconds(1)

    enum Signal: Sendable {
        case event(SandboxEvent)
        /// It has ended: what is stored says the rest.
        case ended
    }

    private let store: SandboxStore
    private let bus: MessageBus
    private let logger: Logger
    private let watchers = Watchers<ExecutionID, Signal>(max: SandboxHub.watchersMax, bufferMax: SandboxHub.bufferMax)

    init(store: SandboxStore, bus: MessageBus, logger: Logger) {
        self.store = store
        self.bus = bus
        self.logger = logger
    }

    func run() async throws {
        try await runUntilShutdown {
            try await withThrowingTaskGroup(of: Void.self) { group in
                group.addTask { try await self.listen() }
                group.addTask { try await self.lookRegularly() }
                try await group.waitForAll()
            }
        }
    }

    /// Signals about one run from now on; nil when the tenant watches too many. Ends with the consumer.
    func watch(_ execution: ExecutionID, for tenant: TenantID) -> AsyncStream<Signal>? {
        watchers.watch(execution, for: tenant)
    }

    private func listen() async throws {
        for try await message in try bus.subscribeRaw(Channel<SandboxEvent>.allSandboxEvents, bufferCount: 4096) {
            guard let id = message.subject.split(separator: ".").last.flatMap({ ExecutionID($0) }) else { continue }
            guard watchers.isWatched(id) else { continue }
            do throws(JSONError) {
                watchers.tell(.event(try SandboxEvent(json: JSON(parsing: message.payload))), about: id)
            } catch {
                logger.warning("an event of a run could not be read", metadata: ["error": "\(error)"])
            }
        }
    }

    /// A message may be lost, and of a run that is canceled before it began there is none.
    private func lookRegularly() async throws {
        while true {
            try await Task.sleep(for: Self.lookEvery)
            do {
                for id in try await store.ended(among: watchers.keys) { watchers.tell(.ended, about: id) }
            } catch {
                try Task.checkCancellation()
                logger.warning("it was not seen which runs have ended", metadata: ["error": "\(error)"])
            }
        }
    }
}
