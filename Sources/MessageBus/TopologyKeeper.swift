internal import Contracts
internal import Logging
internal import Synchronization

/// Makes what `BusTopology` declares exist, one run at a time, and notices streams that began a new life.
actor TopologyKeeper {
    private let admin: JetStreamAdmin
    private let configuration: BusConfiguration
    private let logger: Logger
    private var isRunning = false
    private var waiters: [CheckedContinuation<Result<Void, BusError>, Never>] = []
    /// Consumers somebody asked for, beyond those of the table.
    private var roleConsumers: [String: BusTopology.Consumer] = [:]
    private var incarnations: [BusTopology.StreamName: String] = [:]
    private var losses: [Int: AsyncStream<StreamLoss>.Continuation] = [:]
    private var nextListener = 0

    /// Losses kept for a listener that is slow; there are few streams.
    private static let lossesKept = 64
    /// A stream that was deleted is made again only after this time. nats-server 2.9 forgets a stream before it removes
    /// its files: one made at once loses its own with them, and refuses every message from then on.
    private static let removalTime: Duration = .seconds(2)

    init(admin: JetStreamAdmin, configuration: BusConfiguration, logger: Logger) {
        self.admin = admin
        self.configuration = configuration
        self.logger = logger
    }

    /// Tells of streams that lost their messages, from now on.
    func listen() -> AsyncStream<StreamLoss> {
        let (stream, continuation) = AsyncStream.makeStream(
            of: StreamLoss.self, bufferingPolicy: .bufferingNewest(Self.lossesKept)
        )
        nextListener += 1
        let id = nextListener
        losses[id] = continuation
        return stream
    }

    func finish() {
        for continuation in losses.values { continuation.finish() }
        losses = [:]
    }

    /// Repairs what is missing. Callers that come while a run is on share its outcome.
    func repair() async throws(BusError) {
        if isRunning {
            let shared = await withCheckedContinuation { waiters.append($0) }
            return try shared.get()
        }
        isRunning = true
        var outcome = Result<Void, BusError>.success(())
        do {
            try await makeMissing()
        } catch {
            outcome = .failure(error)
        }
        isRunning = false
        let waiting = waiters
        waiters = []
        for waiter in waiting {
            // Our own cancellation is not theirs.
            waiter.resume(
                returning: outcome.mapError { $0.code == .cancelled ? BusError(.unavailable, $0.message) : $0 })
        }
        try outcome.get()
    }

    /// Makes the consumer exist now and after every later repair.
    func ensure(_ consumer: BusTopology.Consumer) async throws(BusError) {
        if !BusTopology.consumers.contains(consumer) { roleConsumers[consumer.name] = consumer }
        _ = try await apply(consumer, changing: true)
    }

    /// Creates and updates everything, or only says what it would do.
    func setUp(changing: Bool) async throws(BusError) -> [TopologyChange] {
        var changes: [TopologyChange] = []
        for stream in BusTopology.streams {
            if let change = try await apply(stream, changing: changing) { changes.append(change) }
        }
        for consumer in allConsumers {
            if let change = try await apply(consumer, changing: changing) { changes.append(change) }
        }
        return changes
    }

    private var allConsumers: [BusTopology.Consumer] {
        (configuration.ownsStreams ? BusTopology.consumers : []) + roleConsumers.values.sorted { $0.name < $1.name }
    }

    private func makeMissing() async throws(BusError) {
        if configuration.ownsStreams {
            var missing = try await missingStreams()
            if missing.contains(where: { incarnations[$0.name] != nil }) {
                do { try await Task.sleep(for: Self.removalTime) } catch {
                    throw BusError(.cancelled, "Waiting to make a stream again was cancelled.")
                }
                missing = try await missingStreams()
            }
            for stream in missing {
                note(stream.name, try await admin.create(stream, configuration))
                logger.notice("made a missing stream", metadata: ["stream": "\(stream.name.rawValue)"])
            }
        }
        for consumer in allConsumers where try await admin.consumer(consumer) == nil {
            _ = try await apply(consumer, changing: true)
            logger.notice("made a missing consumer", metadata: ["consumer": "\(consumer.name)"])
        }
    }

    /// Takes note of those that are there.
    private func missingStreams() async throws(BusError) -> [BusTopology.Stream] {
        var missing: [BusTopology.Stream] = []
        for stream in BusTopology.streams {
            if let info = try await admin.stream(stream.name) {
                note(stream.name, info)
            } else {
                missing.append(stream)
            }
        }
        return missing
    }

    private func apply(_ stream: BusTopology.Stream, changing: Bool) async throws(BusError) -> TopologyChange? {
        let info = try await admin.stream(stream.name)
        if let info { note(stream.name, info) }
        let actual = try info.map { json throws(BusError) in try Self.configuration(of: json) }
        let settings = stream.settings(configuration)
        guard let change = settings.change("stream \(stream.name.rawValue)", from: actual) else { return nil }
        guard changing else { return change }
        switch change.kind {
        case .create: note(stream.name, try await admin.create(stream, configuration))
        case .update: _ = try await admin.update(stream, to: settings.merged(over: actual ?? .emptyObject))
        case .conflict: break
        }
        return change
    }

    private func apply(_ consumer: BusTopology.Consumer, changing: Bool) async throws(BusError) -> TopologyChange? {
        let info = try await admin.consumer(consumer)
        let actual = try info.map { json throws(BusError) in try Self.configuration(of: json) }
        let settings = consumer.settings
        guard let change = settings.change("consumer \(consumer.name)", from: actual) else { return nil }
        guard changing, change.kind != .conflict else { return change }
        guard try await admin.put(consumer, settings: settings.merged(over: actual ?? .emptyObject)) != nil else {
            throw BusError(
                .topologyMissing,
                "Stream \(consumer.stream.rawValue) does not exist, so consumer \(consumer.name) cannot. "
                    + "The orchestrator makes streams; it is tried again."
            )
        }
        return change
    }

    /// Remembers a stream's life and tells the listeners when it is not the one known before.
    private func note(_ name: BusTopology.StreamName, _ info: JSON) {
        guard let created = info.fields?.first(where: { $0.name == "created" })?.value.string else { return }
        let known = incarnations.updateValue(created, forKey: name)
        guard let known, known != created else { return }
        logger.warning("a stream lost its messages", metadata: ["stream": "\(name.rawValue)", "created": "\(created)"])
        for (id, continuation) in losses {
            if case .terminated = continuation.yield(StreamLoss(stream: name, created: created)) { losses[id] = nil }
        }
    }

    private static func configuration(of info: JSON) throws(BusError) -> JSON {
        guard let config = info.fields?.first(where: { $0.name == "config" })?.value else {
            throw BusError(.refused, "JetStream described a stream or consumer without its configuration.")
        }
        return config
    }
}
