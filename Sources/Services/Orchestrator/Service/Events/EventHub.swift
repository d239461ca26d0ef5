internal import Bootstrap
internal import Contracts
internal import FoundationEssentials
internal import Logging
internal import MessageBus
internal import NATS
internal import ServiceLifecycle
internal import Synchronization

/// Wakes the event streams of this replica's clients when something happened to their task, on whichever replica.
///
/// Only a doorbell: what a client is sent comes from Postgres or continues it without a gap. So the news needs no
/// stream of its own in JetStream, which would store every event a second time, for a fourth of all the work a task
/// costs; and a replica that is alone tells nobody but itself.
final class EventHub: Service {
    /// Streams open at once; further clients get 503. Fewer than the server has connections, which serve others too.
    static let watchersMax = 4000
    /// Events waiting for one slow stream; beyond that it reads from Postgres.
    static let bufferMax = 64
    /// Each watcher reads again this often, in case its signal was lost; a fifth of them each second.
    static let rereadSeconds = 5
    /// Events waiting to be told to other replicas; more are left to their watchers' reading.
    static let untoldMax = 16_384
    /// Of events in one message, roughly; their data and what every event brings.
    static let messageBytesMax = 256 * 1024
    static let envelopeBytes = 400

    /// What a watcher hears.
    enum Signal: Sendable {
        case event(TaskEvent)
        /// Something may have been missed: read again.
        case reread
    }

    private let bus: MessageBus
    private let census: ReplicaCensus
    private let logger: Logger
    private let watchers = Watchers<TaskID, Signal>(max: EventHub.watchersMax, bufferMax: EventHub.bufferMax)
    private let untold = Mutex<[TaskEvent]>([])
    private let nudges: AsyncStream<Void>
    private let nudge: AsyncStream<Void>.Continuation

    init(bus: MessageBus, census: ReplicaCensus, logger: Logger) {
        self.bus = bus
        self.census = census
        self.logger = logger
        (nudges, nudge) = AsyncStream.makeStream(bufferingPolicy: .bufferingNewest(1))
    }

    func run() async throws {
        try await runUntilShutdown {
            try await withThrowingTaskGroup(of: Void.self) { group in
                group.addTask { try await self.listen() }
                group.addTask { for await _ in self.nudges { self.tellPeers() } }
                group.addTask { for await _ in self.bus.connectionEvents() { self.rereadAll() } }
                group.addTask { try await self.rereadInTurns() }
                try await group.waitForAll()
            }
        }
    }

    /// Signals about one task from now on; nil when the tenant has too many streams open. Ends with the consumer.
    func watch(_ task: TaskID, for tenant: TenantID) -> AsyncStream<Signal>? { watchers.watch(task, for: tenant) }

    /// Tells the watchers of every replica what was just committed; never waits.
    func announce(_ events: [TaskEvent]) {
        if events.isEmpty { return }
        let hasPeers = census.hasPeers
        if hasPeers { untold.withLock { untold in untold += events.prefix(Self.untoldMax - untold.count) } }
        tellWatchers(events)
        if hasPeers { nudge.yield() }
    }

    private func tellWatchers(_ events: [TaskEvent]) {
        if watchers.count == 0 { return }
        for event in events { watchers.tell(.event(event), about: event.task) }
    }

    /// One message a tenant for all that has gathered, unless it would grow too large.
    private func tellPeers() {
        let all = untold.withLock { untold in
            defer { untold = [] }
            return untold
        }
        for (tenant, events) in Dictionary(grouping: all, by: \.tenant) {
            var rest = events[...]
            while !rest.isEmpty {
                var bytes = 0
                let next = rest.prefix { event in
                    defer { bytes += event.data.bytes.count + Self.envelopeBytes }
                    return bytes <= Self.messageBytesMax
                }
                rest = rest.dropFirst(next.count)
                tell(tenant, Array(next))
            }
        }
    }

    private func tell(_ tenant: TenantID, _ events: [TaskEvent]) {
        do {
            try bus.send(
                TaskEventBatch(events: events), on: .events(tenant), headers: [MessageHeader.replica: census.me])
        } catch {
            logger.debug("other replicas were not told of events", metadata: ["error": "\(error)"])
        }
    }

    /// Reads what other replicas tell, while somebody here waits for anything.
    private func listen() async throws {
        for try await message in try bus.subscribeRaw(Channel<TaskEventBatch>.allEvents, bufferCount: 4096) {
            if message.headers[MessageHeader.replica] == census.me { continue }
            if watchers.count == 0 { continue }
            do {
                tellWatchers(try TaskEventBatch(json: JSON(parsing: message.payload)).events)
            } catch {
                logger.warning("events could not be read", metadata: ["error": "\(error)"])
                rereadAll()
            }
        }
    }

    private func rereadInTurns() async throws {
        var turn = 0
        while true {
            try await Task.sleep(for: .seconds(1))
            turn = (turn + 1) % Self.rereadSeconds
            watchers.tell(.reread) { [turn] in $0 % Self.rereadSeconds == turn }
        }
    }

    private func rereadAll() { watchers.tell(.reread) { _ in true } }
}
