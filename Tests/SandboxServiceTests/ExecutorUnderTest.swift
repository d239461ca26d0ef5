import Bootstrap
import Contracts
import Crypto
import Foundation
import Logging
import MessageBus
import NATS
import Postgres
import SandboxExecutorService
import ServiceLifecycle
import Storage
import Synchronization
import TestSupport
import Testing

let quiet = Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }

/// Real stores, and real executors with the real launcher on them, all private to one test.
struct ExecutorUnderTest: Sendable {
    static let tenant = TenantID(literal: "acme")
    static let root = URL(filePath: #filePath).deletingLastPathComponent().appending(path: "../..").standardizedFileURL

    let postgres: TestPostgres
    let database: String
    let nats: TestNATS
    let pool: PostgresPool
    let bus: MessageBus

    var store: SandboxStore { SandboxStore(pool: pool) }

    /// An executor that can be ended like a killed task: at once, whatever it was doing.
    final class Replica: Sendable {
        fileprivate let services: ServiceGroup
        fileprivate let task: Task<Void, any Error>

        fileprivate init(_ services: ServiceGroup) {
            self.services = services
            task = Task { try await services.run() }
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

    /// The folder of the programs that were built with these tests.
    static var programs: String {
        var folder = URL(filePath: ProcessInfo.processInfo.arguments[0]).deletingLastPathComponent()
        while folder.path != "/", !FileManager.default.isExecutableFile(atPath: "\(folder.path)/sandbox-launcher") {
            folder = folder.deletingLastPathComponent()
        }
        return folder.path
    }

    static func run(
        _ environment: [String: String] = [:], _ body: @escaping @Sendable (ExecutorUnderTest) async throws -> Void
    ) async throws {
        try #require(geteuid() == 0, "These tests need root: they build real sandboxes with control groups.")
        let postgres = try await TestPostgres.shared()
        let database = try await TestPostgres.migratedDatabase()
        let nats = try await TestNATS.started(maxPayload: 4 << 20)
        let pool = PostgresPool(
            PostgresConfiguration(
                connectionString: postgres.connectionString(database: database), applicationName: "test"),
            logger: quiet
        )
        let connection = try await NATSConnection.connect(
            NATSConfiguration(servers: [nats.url], name: "test"), logger: quiet)
        let bus = MessageBus(connection: connection, logger: quiet)
        async let running: Void = pool.run()
        _ = try await bus.setUp()
        let test = ExecutorUnderTest(postgres: postgres, database: database, nats: nats, pool: pool, bus: bus)
        do {
            try await body(test)
        } catch {
            await connection.shutdown(within: .seconds(1))
            await pool.shutdown(within: .zero)
            throw error
        }
        await connection.shutdown(within: .seconds(1))
        await pool.shutdown(within: .seconds(2))
        try await running
    }

    func settings(_ more: [String: String] = [:]) -> [String: String] {
        [
            "GOLDEN_POSTGRES_URL": postgres.connectionString(database: database), "GOLDEN_NATS_URL": nats.url,
            "GOLDEN_HTTP_PORT": "0", "GOLDEN_SANDBOX_FOLDER": Self.root.appending(path: "sandbox").path,
            "GOLDEN_SANDBOX_LAUNCHER": "\(Self.programs)/sandbox-launcher",
            // Executors of other tests run beside this one.
            "GOLDEN_SANDBOX_UID_BASE": "\(Int.random(in: 100_000...1_000_000_000))",
        ].merging(more) { $1 }
    }

    func executor(
        _ more: [String: String] = [:], onListening: @escaping @Sendable (Int) -> Void = { _ in }
    ) async throws -> Replica {
        let settings = ServiceConfiguration(environment: settings(more))
        let executor = try await SandboxExecutor(
            SandboxExecutorConfiguration(settings), logger: quiet, onListening: onListening)
        return Replica(ServiceGroup(configuration: .init(services: executor.services, logger: quiet)))
    }

    /// One executor while `body` runs.
    func withExecutor(_ more: [String: String] = [:], _ body: () async throws -> Void) async throws {
        try await Self.with(executor(more), body)
    }

    /// The same, once all of its Python interpreters wait.
    func withWarmExecutor(_ more: [String: String] = [:], _ body: () async throws -> Void) async throws {
        let port = Mutex(0)
        let replica = try await executor(more) { found in port.withLock { $0 = found } }
        let isWarm = #"sandbox_warm_interpreters{language="python"} 4"#
        try await Self.with(replica) {
            try await eventually { port.withLock { $0 } > 0 }
            try await eventually { try await Host.metrics(port.withLock { $0 }).contains(isWarm) }
            try await body()
        }
    }

    private static func with(_ replica: Replica, _ body: () async throws -> Void) async throws {
        do {
            try await body()
        } catch {
            await replica.kill()
            throw error
        }
        await replica.stop()
    }

    // MARK: Asking

    static func newID() -> ExecutionID {
        ExecutionID(UUID.version7(at: Date(), random: (.random(in: 0 ... .max), .random(in: 0 ... .max))))
    }

    /// Keeps a run as the API does, without a word to anybody.
    @discardableResult
    func keep(
        _ program: SandboxProgram, id: ExecutionID = newID(), tenant: TenantID = tenant
    ) async throws -> ExecutionID {
        let json = program.json
        let new = NewExecution(
            id: id, tenant: tenant, caller: "tester", language: program.language, request: json,
            requestHash: Array(SHA256.hash(data: Array(json.bytes))), traceparent: nil
        )
        guard case .accepted = try await store.admit(new, waitingMax: 10_000) else { throw Unexpected() }
        return id
    }

    /// Asks over the bus, as an agent does.
    @discardableResult
    func ask(
        _ program: SandboxProgram, id: ExecutionID = newID(), tenant: TenantID = tenant
    ) async throws -> ExecutionID {
        let request = SandboxRequest(execution: id, tenant: tenant, caller: "agent-1", program: program)
        _ = try await bus.publish(request, on: .sandboxExecute, id: nil, tenant: tenant)
        return id
    }

    /// Asks, and waits for the end.
    func outcome(_ program: SandboxProgram) async throws -> SandboxOutcome {
        try await untilEnded(try await ask(program)).outcome
    }

    static func python(_ code: String, _ change: (inout SandboxProgram) -> Void = { _ in }) -> SandboxProgram {
        var program = SandboxProgram(language: "python", source: .code(code))
        change(&program)
        return program
    }

    static func shell(_ code: String, _ change: (inout SandboxProgram) -> Void = { _ in }) -> SandboxProgram {
        var program = SandboxProgram(language: "shell", source: .code(code))
        change(&program)
        return program
    }

    func untilEnded(
        _ id: ExecutionID, tenant: TenantID = tenant, seconds: Int = 60
    ) async throws -> (execution: Execution, outcome: SandboxOutcome) {
        let end = ContinuousClock.now + .seconds(seconds)
        while ContinuousClock.now < end {
            if let found = try await store.find(id, tenant: tenant), let ending = found.ending {
                var reader = try JSONReader(ending.result)
                return (found, try SandboxOutcome(from: &reader))
            }
            try await Task.sleep(for: .milliseconds(10))
        }
        throw Unexpected()
    }

    func eventually(seconds: Int = 30, _ condition: () async throws -> Bool) async throws {
        let end = ContinuousClock.now + .seconds(seconds)
        while ContinuousClock.now < end {
            if try await condition() { return }
            try await Task.sleep(for: .milliseconds(20))
        }
        throw Unexpected()
    }

    struct Unexpected: Error {}
}

extension SandboxOutcome.Output {
    var text: String { String(decoding: head + tail, as: UTF8.self) }
}
