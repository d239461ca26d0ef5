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
import Postgres
import ServiceLifecycle
import Storage
import SupervisorService
import Synchronization
import TestSupport

let quiet = Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }

/// Real stores, one orchestrator and as many supervisors as a test starts, all private to it; the test is the agents.
final class SupervisorUnderTest: Sendable {
    static let secret = "kq3xP0vN8tY5wB2mZ7rL4cJ9hG6dF1sA"

    /// A supervisor that can be ended like a killed process: at once, whatever it was doing.
    final class Replica: Sendable {
        let port: Int
        private let services: ServiceGroup
        private let task: Task<Void, any Error>

        fileprivate init(_ services: ServiceGroup, _ task: Task<Void, any Error>, port: Int) {
            self.services = services
            self.task = task
            self.port = port
        }

        func stop() async {
            await services.triggerGracefulShutdown()
            _ = await task.result
        }

        func kill() async {
            task.cancel()
            _ = await task.result
        }
    }

    struct Unexpected: Error, CustomStringConvertible {
        let description: String
        init(_ description: String) { self.description = description }
    }

    let postgres: TestPostgres
    let database: String
    let nats: TestNATS
    let redis: TestRedis
    let pool: PostgresPool
    let bus: MessageBus
    let connection: NATSConnection
    private let port = Mutex(0)

    private static let turnstile = Turnstile(admits: 4)

    /// Starts the stores, an orchestrator unless told otherwise, and `supervisors` supervisors, runs `body`, and takes
    /// everything down again.
    static func run(
        orchestrators: Int = 1, supervisors: Int = 1, environment: [String: String] = [:],
        _ body: @escaping @Sendable (SupervisorUnderTest) async throws -> Void
    ) async throws {
        try await turnstile.pass {
            EdgeServer.shareCores
            let test = try await SupervisorUnderTest()
            async let pooling: Void = test.pool.run()
            do {
                var replicas: [Replica] = []
                for _ in 0..<orchestrators { replicas.append(try await test.orchestrator()) }
                for _ in 0..<supervisors { replicas.append(try await test.supervisor(environment)) }
                do {
                    try await body(test)
                } catch {
                    for replica in replicas.reversed() { await replica.stop() }
                    throw error
                }
                for replica in replicas.reversed() { await replica.stop() }
            } catch {
                await test.shutdown()
                throw error
            }
            await test.shutdown()
            try await pooling
        }
    }

    private init() async throws {
        postgres = try await TestPostgres.shared()
        database = try await TestPostgres.migratedDatabase()
        nats = try await TestNATS.started()
        redis = try await TestRedis.started()
        pool = PostgresPool(
            PostgresConfiguration(
                connectionString: postgres.connectionString(database: database), applicationName: "test"),
            logger: quiet
        )
        connection = try await NATSConnection.connect(
            NATSConfiguration(servers: [nats.url], name: "test"), logger: quiet)
        var configuration = BusConfiguration()
        configuration.ownsStreams = false
        bus = MessageBus(connection: connection, configuration: configuration, logger: quiet)
    }

    private func shutdown() async {
        await connection.shutdown(within: .seconds(1))
        await pool.shutdown(within: .seconds(2))
    }

    private func orchestrator() async throws -> Replica {
        let settings = ServiceConfiguration(environment: [
            "GOLDEN_REDIS_TIMEOUT_MS": "1000", "GOLDEN_POSTGRES_URL": postgres.connectionString(database: database),
            "GOLDEN_NATS_URL": nats.url,
            "GOLDEN_REDIS_URL": "redis://:\(TestRedis.password)@127.0.0.1:\(redis.port)/0", "GOLDEN_HTTP_PORT": "0",
            "GOLDEN_JWT_SECRET": Self.secret, "GOLDEN_RATE_LIMITS": "admin=100000,operator=100000,developer=100000",
        ])
        let (ports, listening) = AsyncStream<Int>.makeStream()
        let orchestrator = try await Orchestrator(OrchestratorConfiguration(settings), logger: quiet) {
            listening.yield($0)
        }
        let replica = try await Self.start(orchestrator.services, ports)
        port.withLock { $0 = replica.port }
        try await eventually { try await self.get("/ready", token: nil).status == 200 }
        return replica
    }

    func supervisor(_ environment: [String: String] = [:]) async throws -> Replica {
        let own = [
            "GOLDEN_POSTGRES_URL": postgres.connectionString(database: database), "GOLDEN_NATS_URL": nats.url,
            "GOLDEN_HTTP_PORT": "0",
        ]
        let settings = ServiceConfiguration(environment: own.merging(environment) { $1 })
        let (ports, listening) = AsyncStream<Int>.makeStream()
        let supervisor = try await Supervisor(SupervisorConfiguration(settings), logger: quiet) {
            listening.yield($0)
        }
        return try await Self.start(supervisor.services, ports)
    }

    private static func start(_ services: [any Service], _ ports: AsyncStream<Int>) async throws -> Replica {
        let group = ServiceGroup(configuration: .init(services: services, logger: quiet))
        let task = Task { try await group.run() }
        for await port in ports { return Replica(group, task, port: port) }
        throw Unexpected("It does not listen.")
    }

    // MARK: Requests

    struct Answer: Sendable {
        let status: Int
        let body: String

        subscript(_ field: String) -> String? {
            do { return try JSON(parsing: body.utf8).fields?.first { $0.name == field }?.value.string } catch {
                return nil
            }
        }
    }

    func token(_ role: String = "developer", tenant: String = "acme", subject: String = "tester") async throws -> String
    {
        let keys = JWTKeyCollection()
        await keys.add(hmac: HMACKey(from: Self.secret), digestAlgorithm: .sha256)
        let now = Int(Date().timeIntervalSince1970)
        return try await keys.sign(
            Claims(
                iss: "golden", aud: "golden-api", sub: subject, role: role, tenant: tenant, iat: now, exp: now + 600))
    }

    private struct Claims: JWTPayload {
        let iss, aud, sub, role, tenant: String
        let iat, exp: Int

        func verify(using algorithm: some JWTAlgorithm) {}
    }

    func get(_ path: String, role: String = "developer") async throws -> Answer {
        try await get(path, token: token(role))
    }

    func get(_ path: String, token: String?) async throws -> Answer { try await send("GET", path, nil, token) }

    func post(_ path: String, _ body: String, role: String = "developer") async throws -> Answer {
        try await send("POST", path, body, token(role))
    }

    func send(_ method: String, _ path: String, _ body: String?, _ token: String?) async throws -> Answer {
        var request = HTTPClientRequest(url: "http://127.0.0.1:\(port.withLock { $0 })\(path)")
        request.method = .RAW(value: method)
        if let token { request.headers.add(name: "Authorization", value: "Bearer \(token)") }
        if let body {
            request.headers.add(name: "Content-Type", value: "application/json")
            request.body = .bytes(ByteBuffer(string: body))
        }
        let response = try await HTTPClient.shared.execute(request, timeout: .seconds(30))
        return Answer(
            status: Int(response.status.code), body: String(buffer: try await response.body.collect(upTo: 4 << 20)))
    }

    func metrics(of replica: Replica) async throws -> String {
        let request = HTTPClientRequest(url: "http://127.0.0.1:\(replica.port)/metrics")
        let answer = try await HTTPClient.shared.execute(request, timeout: .seconds(10))
        return String(buffer: try await answer.body.collect(upTo: 1 << 20))
    }

    /// Submits a task of the workflow that escalates, and returns its id.
    func submit(guards: [String] = [], attempts: Int = 1, _ body: String = #"{"workflow":"careful"}"#) async throws
        -> String
    {
        let list = guards.map { "\"\($0)\"" }.joined(separator: ",")
        let workflow = """
            {"stages":[{"name":"work","kind":"work","role":"developer","max_attempts":\(attempts),"guards":[\(list)]}],
            "escalate_on_failure":true}
            """
        let put = try await send("PUT", "/workflows/careful", workflow, token("operator"))
        guard put.status < 300 else { throw Unexpected(put.body) }
        let answer = try await post("/tasks", body)
        guard answer.status == 202, let id = answer["id"] else { throw Unexpected(answer.body) }
        return id
    }

    func state(of task: String) async throws -> String? { try await get("/tasks/\(task)")["state"] }

    /// The task's escalations, the newest first.
    func escalations(of task: String) async throws -> [Escalation] {
        guard let id = TaskID(task) else { throw Unexpected(task) }
        let store = EscalationStore(pool: pool)
        return try await store.list(EscalationFilter(tenant: TenantID(literal: "acme"), task: id, limit: 50))
    }

    func sql(_ text: String) async throws -> String { try await postgres.sql(text, database: database) }

    // MARK: Agents

    /// Makes agents known, as if they had announced themselves just now.
    func introduce(_ roles: String...) async throws {
        let known = roles.compactMap { role in
            AgentRole(role).flatMap { name in
                AgentID("\(role)-1").map {
                    KnownAgent(agent: $0, roles: [name], slots: 1, owner: "test", version: "1", lastSeen: Date())
                }
            }
        }
        try await AgentStore(pool: pool).save(known)
    }

    /// Runs an agent of `role` beside `body`; it answers each work item with what `work` says, where the item asks.
    func withAgent(
        _ role: String, work: @escaping @Sendable (WorkItem) async throws -> AgentReport.Body?,
        _ body: () async throws -> Void
    ) async throws {
        guard let name = AgentRole(role), let me = AgentID("\(role)-1") else { throw Unexpected(role) }
        let leases = try await bus.leaseWork(of: [name], slots: 8)
        try await withThrowingTaskGroup(of: Void.self) { group in
            let (arrivals, arrive) = AsyncStream<WorkLeases.Lease>.makeStream()
            group.addTask { try await leases.run { for lease in $0 { arrive.yield(lease) } } }
            group.addTask {
                for await lease in arrivals {
                    let item = lease.message
                    if let answer = try await work(item) { try await self.report(answer, on: item, by: me) }
                    leases.acknowledge([lease])
                }
            }
            try await body()
            await leases.close()
            arrive.finish()
            group.cancelAll()
        }
    }

    func report(
        _ body: AgentReport.Body, on item: WorkItem, by agent: AgentID, token: String? = nil
    ) async throws {
        let report = AgentReport(
            task: item.task, attempt: item.attempt, leaseToken: token ?? item.leaseToken, agent: agent, body: body)
        let channel = item.reply.map { Channel.reply($0) } ?? .results(item.role, item.task)
        _ = try await bus.publish(report, on: channel, id: nil)
    }
}

/// Asks again until `condition` holds. The limit is generous because it ends only tests that fail.
func eventually(within limit: Duration = .seconds(60), _ condition: () async throws -> Bool) async throws {
    let end = ContinuousClock.now + limit
    while true {
        do { if try await condition() { return } } catch  where ContinuousClock.now < end {}
        if ContinuousClock.now > end { throw SupervisorUnderTest.Unexpected("waited \(limit) in vain") }
        try await Task.sleep(for: .milliseconds(20))
    }
}
