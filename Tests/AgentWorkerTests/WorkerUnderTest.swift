import AgentWorkerService
import Contracts
import Foundation
import Logging
import MessageBus
import NATS
import ServiceLifecycle
import TestSupport
import Testing

/// A server, a bus as the orchestrator has it, and agents beside it.
struct Bench: Sendable {
    let server: TestNATS
    let connection: NATSConnection
    let bus: MessageBus

    static func run(
        _ binary: String, maxPayload: Int? = 4 << 20, _ body: (Bench) async throws -> Void
    ) async throws {
        let server = try await blocking { try TestNATS(binary, maxPayload: maxPayload) }
        let connection = try await NATSConnection.connect(configuration(server, "orchestrator"), logger: quietLogger)
        let bench = Bench(
            server: server, connection: connection, bus: MessageBus(connection: connection, logger: quietLogger)
        )
        do {
            _ = try await bench.bus.setUp()
            try await body(bench)
        } catch {
            await connection.shutdown(within: .seconds(1))
            throw error
        }
        await connection.shutdown(within: .seconds(1))
    }

    static func configuration(_ server: TestNATS, _ name: String) -> NATSConfiguration {
        var configuration = NATSConfiguration(servers: [server.url], name: name)
        configuration.reconnectCap = .milliseconds(300)
        return configuration
    }

    /// Runs an agent beside `body`, which may stop it gracefully by the group it gets; waits until it has ended.
    func withWorker(
        _ backend: AgentWorkerConfiguration.BackendKind = .echo, id: AgentID = AgentID(literal: "agent-1"),
        slots: Int = 2, drain: Duration = .seconds(5), logger: Logger = quietLogger,
        _ body: (ServiceGroup) async throws -> Void
    ) async throws {
        var configuration = AgentWorkerConfiguration(
            agent: id, roles: [developer], slots: slots, owner: "tests", backend: backend,
            nats: Self.configuration(server, id.text)
        )
        configuration.drainTimeout = drain
        let worker = try await AgentWorker(configuration, logger: logger)
        let group = ServiceGroup(
            configuration: .init(services: worker.services.map { .init(service: $0) }, logger: quietLogger))
        try await withThrowingTaskGroup(of: Void.self) { tasks in
            tasks.addTask { try await group.run() }
            do {
                try await body(group)
            } catch {
                await group.triggerGracefulShutdown()
                throw error
            }
            await group.triggerGracefulShutdown()
            try await tasks.waitForAll()
        }
    }

    @discardableResult
    func submit(
        _ input: String = "{}", attempt: Int = 1, task: TaskID = newTask(), seconds: TimeInterval = 60
    ) async throws -> WorkItem {
        let item = WorkItem(
            task: task, tenant: TenantID(literal: "acme"), workflow: WorkflowName(literal: "single"), stage: "work",
            kind: "work", role: developer, attempt: attempt, leaseToken: "lease-\(attempt)",
            deadline: Date().addingTimeInterval(seconds), input: try JSON(parsing: Array(input.utf8))
        )
        _ = try await bus.publish(item, on: .work(developer), id: nil, traceparent: "00-trace-01", tenant: item.tenant)
        return item
    }

    /// All reports from now on, as they are published.
    func reports() throws -> MessageSequence<AgentReport> { try bus.subscribe(.allResults) }

    /// Waits until no work is left: all of it was acknowledged.
    func untilWorkIsDone() async throws {
        while try await bus.incarnation(of: .work).messageCount > 0 {
            try await Task.sleep(for: .milliseconds(5))
        }
    }

    /// Waits until an agent says that it works on that many items. (The server counts them as delivered earlier.)
    func untilHeld(_ count: Int) async throws {
        let heard = try bus.subscribe(.announcements)
        await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { [bus] in
                // Asked again and again: an agent that is just starting does not hear the first time.
                while true {
                    try bus.sendRaw(.announceNow)
                    try await Task.sleep(for: .milliseconds(20))
                }
            }
            _ = await heard.collect { $0.leases.count == count }
            group.cancelAll()
        }
    }
}

let developer = AgentRole(literal: "developer")

let quietLogger: Logger = {
    var logger = Logger(label: "test")
    logger.logLevel =
        ProcessInfo.processInfo.environment["GOLDEN_TEST_LOG"].flatMap { .init(rawValue: $0) } ?? .critical
    return logger
}()

func newTask() -> TaskID {
    TaskID(at: Date(), random: (UInt64.random(in: 0...UInt64.max), UInt64.random(in: 0...UInt64.max)))
}

extension MessageSequence {
    /// The next elements, until `isLast`.
    func collect(until isLast: (Element) -> Bool) async -> [Element] {
        var found: [Element] = []
        for await element in self {
            found.append(element)
            if isLast(element) { break }
        }
        return found
    }
}

extension AgentReport {
    var isOutcome: Bool { if case .progress = body { false } else { true } }

    var failure: Failure? { if case .failed(let failure) = body { failure } else { nil } }
}
