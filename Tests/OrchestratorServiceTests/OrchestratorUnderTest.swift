import AsyncHTTPClient
import Bootstrap
import Contracts
import Foundation
import HTTPEdge
import JWTKit
import Logging
import MessageBus
import NATS
import NIOCore
import NIOHTTP1
import OrchestratorService
import ServiceLifecycle
import Synchronization
import TestSupport

/// Real stores and real orchestrators on them, all private to one test.
final class OrchestratorUnderTest: Sendable {
    static let secret = "kq3xP0vN8tY5wB2mZ7rL4cJ9hG6dF1sA"
    let postgres: TestPostgres
    let database: String
    let nats: TestNATS
    let redis: TestRedis
    private let ports = Mutex<[Int]>([])
    private let table = Mutex<[Route]>([])

    /// All that the API does, as data.
    var routes: [Route] { table.withLock { $0 } }

    /// Each stack is three servers and up to three orchestrators.
    private static let turnstile = Turnstile(admits: 8)

    /// Starts everything, runs `body`, and takes everything down again.
    static func run(
        replicas: Int = 1, environment: [String: String] = [:],
        before: (OrchestratorUnderTest) async throws -> Void = { _ in },
        _ body: @escaping @Sendable (OrchestratorUnderTest) async throws -> Void
    ) async throws {
        try await turnstile.pass {
            let stack = try await OrchestratorUnderTest()
            try await before(stack)
            try await withThrowingTaskGroup(of: Void.self) { group in
                var groups: [ServiceGroup] = []
                for _ in 0..<replicas {
                    let orchestrator = try await stack.orchestrator(environment)
                    let services = orchestrator.services
                    stack.table.withLock { $0 = orchestrator.routes }
                    let logger = Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }
                    let services2 = ServiceGroup(configuration: .init(services: services, logger: logger))
                    groups.append(services2)
                    group.addTask { try await services2.run() }
                }
                do {
                    try await stack.waitUntilReady(replicas: replicas)
                    try await body(stack)
                } catch {
                    for services in groups { await services.triggerGracefulShutdown() }
                    throw error
                }
                for services in groups { await services.triggerGracefulShutdown() }
                try await group.waitForAll()
            }
        }
    }

    /// The stores alone, for programs that are started apart.
    init(security: TestNATS.Security = .none) async throws {
        // Before the client's first request makes the event loops, which cannot be changed afterwards.
        EdgeServer.shareCores
        postgres = try await TestPostgres.shared()
        database = try await TestPostgres.migratedDatabase()
        nats = try await TestNATS.started(security: security)
        redis = try await TestRedis.started()
    }

    static let quiet = Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }

    /// What an orchestrator on these stores is told.
    var settings: [String: String] {
        [
            // Dozens of stacks share the machine: a slow answer is not what these tests are about.
            "GOLDEN_REDIS_TIMEOUT_MS": "1000",
            "GOLDEN_POSTGRES_URL": postgres.connectionString(database: database), "GOLDEN_NATS_URL": nats.url,
            "GOLDEN_REDIS_URL": "redis://:\(TestRedis.password)@127.0.0.1:\(redis.port)/0", "GOLDEN_HTTP_PORT": "0",
            "GOLDEN_JWT_SECRET": Self.secret, "GOLDEN_RATE_LIMITS": "developer=100000,observer=3",
        ]
    }

    var replicas: Int { ports.withLock { $0.count } }

    /// An orchestrator that was started apart is the next replica.
    func listens(on port: Int) { ports.withLock { $0.append(port) } }

    func orchestrator(_ environment: [String: String]) async throws -> Orchestrator {
        let settings = ServiceConfiguration(environment: settings.merging(environment) { $1 })
        return try await Orchestrator(OrchestratorConfiguration(settings), logger: Self.quiet) { port in
            self.ports.withLock { $0.append(port) }
        }
    }

    private func waitUntilReady(replicas: Int) async throws {
        try await eventually { self.ports.withLock { $0.count } == replicas }
        for replica in 0..<replicas {
            try await eventually { try await self.get("/ready", replica: replica, token: nil).status == 200 }
        }
    }

    // MARK: Requests

    struct Answer: Sendable {
        let status: Int
        let headers: [String: String]
        let body: String

        var json: JSON { get throws { try JSON(parsing: body.utf8) } }

        subscript(_ field: String) -> String? {
            do { return try json.fields?.first { $0.name == field }?.value.string } catch { return nil }
        }
    }

    func token(
        role: String = "developer", tenant: String = "acme", subject: String = "tester", expiresIn: TimeInterval = 600,
        audience: String = "golden-api", secret: String = secret
    ) async throws -> String {
        let keys = JWTKeyCollection()
        await keys.add(hmac: HMACKey(from: secret), digestAlgorithm: .sha256)
        let now = Date()
        return try await keys.sign(
            Claims(
                iss: "golden", aud: audience, sub: subject, role: role, tenant: tenant,
                iat: Int(now.timeIntervalSince1970), exp: Int(now.addingTimeInterval(expiresIn).timeIntervalSince1970)
            )
        )
    }

    private struct Claims: JWTPayload {
        let iss, aud, sub, role, tenant: String
        let iat, exp: Int

        func verify(using algorithm: some JWTAlgorithm) {}
    }

    func address(_ replica: Int = 0) -> String { "http://127.0.0.1:\(ports.withLock { $0[replica] })" }

    func get(
        _ path: String, replica: Int = 0, token: String?, headers: [String: String] = [:]
    ) async throws -> Answer {
        try await send("GET", path, replica: replica, token: token, headers: headers, body: nil)
    }

    func post(
        _ path: String, _ body: String?, replica: Int = 0, token: String?, headers: [String: String] = [:]
    ) async throws -> Answer {
        try await send(
            "POST", path, replica: replica, token: token, headers: headers, body: body.map { Array($0.utf8) })
    }

    func send(
        _ method: String, _ path: String, replica: Int = 0, token: String?, headers: [String: String] = [:],
        body: [UInt8]?
    ) async throws -> Answer {
        var request = HTTPClientRequest(url: address(replica) + path)
        request.method = .RAW(value: method)
        if let token { request.headers.add(name: "Authorization", value: "Bearer \(token)") }
        if let body {
            request.headers.add(name: "Content-Type", value: "application/json")
            request.body = .bytes(ByteBuffer(bytes: body))
        }
        for (name, value) in headers { request.headers.replaceOrAdd(name: name, value: value) }
        let response = try await HTTPClient.shared.execute(request, timeout: .seconds(30))
        let bytes = try await response.body.collect(upTo: 4 << 20)
        let fields = response.headers.map { ($0.name.lowercased(), $0.value) }
        return Answer(
            status: Int(response.status.code), headers: Dictionary(fields) { first, _ in first },
            body: String(buffer: bytes)
        )
    }

    /// Submits and returns the new task's id.
    func submit(
        _ body: String = "{}", tenant: String = "acme", replica: Int = 0, headers: [String: String] = [:]
    ) async throws -> String {
        let token = try await token(tenant: tenant)
        let answer = try await post("/tasks", body, replica: replica, token: token, headers: headers)
        guard answer.status == 202, let id = answer["id"] else { throw Unexpected(answer.body) }
        return id
    }

    func state(of task: String, tenant: String = "acme") async throws -> String? {
        try await get("/tasks/\(task)", token: token(tenant: tenant))["state"]
    }

    struct Unexpected: Error, CustomStringConvertible {
        let description: String
        init(_ description: String) { self.description = description }
    }

    // MARK: Agents

    /// Runs an agent of `role` beside `body`; it answers each work item with what `work` says.
    ///
    /// - Parameter name: by which the stores know it already; one they do not know when nil.
    func withAgent(
        role: String = "developer", name: String? = nil, slots: Int = 8, isParallel: Bool = false,
        work: @escaping @Sendable (WorkItem) async throws -> AgentReport.Body?,
        _ body: () async throws -> Void
    ) async throws {
        let connection = try await NATSConnection.connect(
            NATSConfiguration(servers: [nats.url], name: "test-agent"), logger: Self.quiet
        )
        var configuration = BusConfiguration()
        configuration.ownsStreams = false
        let bus = MessageBus(connection: connection, configuration: configuration, logger: Self.quiet)
        let me = AgentID(name ?? "test-\(UInt32.random(in: 0 ... .max))") ?? AgentID(literal: "test")
        let leases = try await bus.leaseWork(of: [AgentRole(role) ?? AgentRole(literal: "developer")], slots: slots)
        try await withThrowingTaskGroup(of: Void.self) { group in
            let (arrivals, arrive) = AsyncStream<WorkLeases.Lease>.makeStream()
            group.addTask { try await leases.run { for lease in $0 { arrive.yield(lease) } } }
            group.addTask {
                try await withThrowingTaskGroup(of: Void.self) { works in
                    for await lease in arrivals {
                        works.addTask {
                            let item = lease.message
                            if let answer = try await work(item) {
                                let report = AgentReport(
                                    task: item.task, attempt: item.attempt, leaseToken: item.leaseToken, agent: me,
                                    body: answer
                                )
                                try await Self.publish(report, on: item, bus)
                            }
                            leases.acknowledge([lease])
                        }
                        // One after the other, unless the test asks for more.
                        if !isParallel { try await works.waitForAll() }
                    }
                }
            }
            try await body()
            await leases.close()
            arrive.finish()
            group.cancelAll()
        }
        await connection.shutdown(within: .seconds(2))
    }
}

extension OrchestratorUnderTest {
    /// As agents are told to: again and again, until it is stored.
    private static func publish(_ report: AgentReport, on item: WorkItem, _ bus: MessageBus) async throws {
        let channel = item.reply.map { Channel.reply($0) } ?? .results(item.role, item.task)
        while true {
            do {
                _ = try await bus.publish(report, on: channel, id: nil)
                return
            } catch {
                try await Task.sleep(for: .milliseconds(50))
            }
        }
    }
}

/// Asks again until `condition` holds. The limit is generous because it ends only tests that fail.
func eventually(
    within limit: Duration = .seconds(60), _ condition: () async throws -> Bool
) async throws {
    let end = ContinuousClock.now + limit
    while true {
        do { if try await condition() { return } } catch  where ContinuousClock.now < end {}
        if ContinuousClock.now > end { throw OrchestratorUnderTest.Unexpected("waited \(limit) in vain") }
        try await Task.sleep(for: .milliseconds(20))
    }
}
