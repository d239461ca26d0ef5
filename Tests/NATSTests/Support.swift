import Logging
import NATS
import Synchronization
import TestSupport
import Testing

/// One test at a time: each starts a server of its own, and some measure time.
@Suite(.serialized) enum NATSTests {}

/// Generous: reached only when something is broken.
let patience = Duration.seconds(30)

let quiet: Logger = {
    var logger = Logger(label: "nats-tests")
    logger.logLevel = .critical
    return logger
}()

func configuration(_ server: TestNATS) -> NATSConfiguration {
    var configuration = NATSConfiguration(servers: [server.url], name: "tests")
    configuration.reconnectBase = .milliseconds(50)
    configuration.reconnectCap = .milliseconds(250)
    return configuration
}

/// Runs the body with a connection to a server of its own, and shuts the connection down.
func withServer(
    _ binary: String, maxPayload: Int? = nil, adjust: (inout NATSConfiguration) -> Void = { _ in },
    _ body: (NATSConnection, TestNATS) async throws -> Void
) async throws {
    let server = try TestNATS(binary, maxPayload: maxPayload)
    var settings = configuration(server)
    adjust(&settings)
    let connection = try await NATSConnection.connect(settings, logger: quiet)
    do {
        try await body(connection, server)
    } catch {
        await connection.shutdown(within: .seconds(1))
        throw error
    }
    await connection.shutdown(within: .seconds(2))
}

extension NATSConnection {
    /// A stream that captures `<name>.>`, and a durable consumer named `agents` with an explicit acknowledgement.
    func makeStream(_ name: String, retention: String = "limits", ackWait: Duration = .seconds(30)) async throws {
        let stream = """
            {"name":"\(name)","subjects":["\(name).>"],"retention":"\(retention)","storage":"file",\
            "duplicate_window":60000000000}
            """
        _ = try await jetStream("STREAM.CREATE.\(name)", payload: Array(stream.utf8))
        try await makeConsumer(of: name, ackWait: ackWait)
    }

    func makeConsumer(of stream: String, ackWait: Duration = .seconds(30)) async throws {
        let wait = ackWait.components.seconds * 1_000_000_000 + ackWait.components.attoseconds / 1_000_000_000
        let consumer = """
            {"stream_name":"\(stream)","config":{"durable_name":"agents","ack_policy":"explicit",\
            "ack_wait":\(wait),"max_ack_pending":50000,"deliver_policy":"all"}}
            """
        _ = try await jetStream("CONSUMER.DURABLE.CREATE.\(stream).agents", payload: Array(consumer.utf8))
    }

    /// Waits for the next state that satisfies the test.
    func waitFor(_ wanted: @escaping @Sendable (NATSConnectionState) -> Bool) async throws {
        try await within(patience) {
            for await state in self.stateChanges() where wanted(state) { return }
            throw Failure("The connection closed while a state was waited for.")
        }
    }

    func waitUntilConnected() async throws {
        try await waitFor { if case .connected = $0 { true } else { false } }
    }

    func waitUntilDisconnected() async throws {
        try await waitFor { if case .disconnected = $0 { true } else { false } }
    }
}

struct Failure: Error, CustomStringConvertible {
    let description: String

    init(_ description: String) { self.description = description }
}

/// Fails instead of hanging.
func within<R: Sendable>(_ limit: Duration, _ body: @escaping @Sendable () async throws -> R) async throws -> R {
    try await withThrowingTaskGroup(of: R.self) { group in
        group.addTask { try await body() }
        group.addTask {
            try await Task.sleep(for: limit)
            throw Failure("Not finished within \(limit).")
        }
        guard let first = try await group.next() else { throw Failure("No result.") }
        group.cancelAll()
        return first
    }
}

func bytes(_ text: String) -> [UInt8] { Array(text.utf8) }

func text(_ bytes: [UInt8]) -> String { String(decoding: bytes, as: UTF8.self) }

/// The code of the error that the body throws, and how long it took.
func failure(_ body: () async throws -> Void) async -> (code: NATSError.Code?, took: Duration) {
    let start = ContinuousClock.now
    do {
        try await body()
        return (nil, start.duration(to: .now))
    } catch {
        return ((error as? NATSError)?.code, start.duration(to: .now))
    }
}

extension PullConsumer {
    /// The next single message; fails instead of hanging.
    func next() async throws -> Delivery {
        let batch = try await within(patience) { try await self.nextBatch(max: 1) }
        guard let first = batch.first else { throw Failure("The consumer was closed.") }
        return first
    }

    /// What comes within that time; nil when nothing does.
    func some(within limit: Duration) async throws -> [Delivery]? {
        try await withThrowingTaskGroup(of: [Delivery]?.self) { group in
            group.addTask {
                do throws(NATSError) {
                    return try await self.nextBatch(max: 64)
                } catch {
                    guard error.code == .cancelled else { throw error }
                    return nil
                }
            }
            group.addTask {
                try await Task.sleep(for: limit)
                return nil
            }
            var result: [Delivery]?
            while let next = await group.nextResult() {
                group.cancelAll()
                if case .success(let batch?) = next { result = batch }
                if case .failure(let error) = next, !(error is CancellationError) { throw error }
            }
            return result
        }
    }

    /// True when nothing comes in that time.
    func nothing(for limit: Duration) async throws -> Bool {
        try await some(within: limit) == nil
    }
}

/// Stream sequences seen so far.
final class Received: Sendable {
    private let sequences = Mutex<Set<UInt64>>([])

    var count: Int { sequences.withLock { $0.count } }

    /// False when it was seen before.
    func insert(_ sequence: UInt64) -> Bool { sequences.withLock { $0.insert(sequence).inserted } }

    func isSubset(of other: Received) -> Bool {
        let others = other.sequences.withLock { $0 }
        return sequences.withLock { $0.isSubset(of: others) }
    }
}
