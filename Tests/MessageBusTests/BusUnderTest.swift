import Contracts
import Foundation
import Logging
import MessageBus
import NATS
import Synchronization
import TestSupport
import Testing

/// A server of its own, a connection to it and a bus on top.
final class BusUnderTest: Sendable {
    let server: TestNATS
    let connection: NATSConnection
    let bus: MessageBus

    init(_ binary: String, ownsStreams: Bool = true, server: TestNATS? = nil) async throws {
        let server =
            if let server { server } else { try await TestNATS.started(binary, maxPayload: 4 << 20) }
        var configuration = NATSConfiguration(servers: [server.url], name: "bus-test")
        configuration.reconnectCap = .milliseconds(500)
        configuration.pingInterval = .seconds(1)
        self.server = server
        connection = try await NATSConnection.connect(configuration, logger: quietLogger)
        bus = MessageBus(
            connection: connection, configuration: BusConfiguration(ownsStreams: ownsStreams), logger: quietLogger
        )
    }

    /// Runs `body` with a bus whose topology is set up, and shuts the connection down whatever happens.
    static func run(_ binary: String, _ body: (BusUnderTest) async throws -> Void) async throws {
        let test = try await BusUnderTest(binary)
        do {
            _ = try await test.bus.setUp()
            try await body(test)
        } catch {
            await test.connection.shutdown(within: .seconds(1))
            throw error
        }
        await test.connection.shutdown(within: .seconds(1))
    }

    /// A raw call of the server's administration API.
    func administer(_ verb: String, _ body: String = "") async throws -> String {
        let answer = try await connection.request(
            "$JS.API.\(verb)", headers: [:], payload: Array(body.utf8), timeout: .seconds(5)
        )
        return String(decoding: answer.payload, as: UTF8.self)
    }
}

let quietLogger: Logger = {
    var logger = Logger(label: "test")
    logger.logLevel =
        ProcessInfo.processInfo.environment["GOLDEN_TEST_LOG"].flatMap { Logger.Level(rawValue: $0) } ?? .critical
    return logger
}()

let developer = AgentRole(literal: "developer")
let tester = AgentRole(literal: "tester")
let tenant = TenantID(literal: "acme")

func newTask() -> TaskID {
    TaskID(at: Date(), random: (UInt64.random(in: 0...UInt64.max), UInt64.random(in: 0...UInt64.max)))
}

func workItem(
    _ role: AgentRole = developer, input: String = "{}", dueIn seconds: TimeInterval = 60
) throws -> WorkItem {
    WorkItem(
        task: newTask(), tenant: tenant, workflow: WorkflowName(literal: "single"), stage: "work", kind: "work",
        role: role, attempt: 1, leaseToken: "token", deadline: Date().addingTimeInterval(seconds),
        input: try JSON(parsing: Array(input.utf8))
    )
}

func report(_ number: Int, _ task: TaskID = newTask()) -> AgentReport {
    AgentReport(
        task: task, attempt: 1, leaseToken: "token", agent: AgentID(literal: "agent-1"),
        body: .progress(number: number, message: "step \(number)", data: nil)
    )
}

/// What happened, in order, and a wait for enough of it.
final class Journal<Entry: Sendable>: Sendable {
    private let kept = Mutex<[Entry]>([])
    /// That there are more; one word is enough for whoever has not looked yet.
    private let additions: AsyncStream<Void>
    private let added: AsyncStream<Void>.Continuation

    init() { (additions, added) = AsyncStream<Void>.makeStream(bufferingPolicy: .bufferingNewest(1)) }

    var entries: [Entry] { kept.withLock { $0 } }

    func add(_ entry: Entry) {
        kept.withLock { $0.append(entry) }
        added.yield()
    }

    /// Waits until there are `count` entries. One waits at a time.
    ///
    /// - Throws: `CancellationError`, which is how the suite's time limit ends it.
    func wait(for count: Int) async throws -> [Entry] {
        var signals = additions.makeAsyncIterator()
        while kept.withLock({ $0.count }) < count {
            guard await signals.next() != nil else { throw CancellationError() }
        }
        return entries
    }
}

/// Runs `work` beside `body` and cancels it when `body` is done.
func beside(
    _ work: @escaping @Sendable () async throws -> Void, _ body: () async throws -> Void
) async throws {
    try await withThrowingTaskGroup(of: Void.self) { group in
        group.addTask {
            do { try await work() } catch is CancellationError {}
        }
        defer { group.cancelAll() }
        try await body()
    }
}
