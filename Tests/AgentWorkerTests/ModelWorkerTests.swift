import AgentWorkerCore
import AgentWorkerService
import Contracts
import Coordination
import Foundation
import Logging
import MessageBus
import Redis
import Synchronization
import TestSupport
import Testing

/// Whole agents in front of a model, over a real NATS.
@Suite(.serialized, .timeLimit(.minutes(2)))
struct ModelWorkerTests {
    /// An endpoint that works or does not, and counts.
    final class Endpoint: Sendable {
        struct State {
            var isDown = false
            var asked = 0
            var answered = 0
            var atOnce = 0
            /// The most at once since it came up, until it had answered so often.
            var atOnceMax: [Int] = []
        }
        let state = Mutex(State())

        @Sendable func answer(_ request: ModelServer.Request, _ reply: ModelServer.Reply) async throws {
            let isDown = state.withLock { state in
                state.asked += 1
                state.atOnce += 1
                state.atOnceMax.append(state.atOnce)
                return state.isDown
            }
            defer { state.withLock { $0.atOnce -= 1 } }
            if isDown { return try await reply.refuse("500 Internal Server Error") }
            try await reply.answer("Done.", tokens: 12)
            state.withLock { $0.answered += 1 }
        }
    }

    private static func settings(_ server: ModelServer) throws -> ModelSettings {
        var settings = try #require(ModelSettings(base: server.url, model: "model-1"))
        settings.tries = 1
        settings.policy = BreakerPolicy(callsMin: 2, openWait: .seconds(1), jitterPercent: 0, probes: 2)
        settings.breakerInterval = .milliseconds(100)
        return settings
    }

    @Test(arguments: TestNATS.binaries)
    func `work is answered by the model and its tokens are reported`(_ binary: String) async throws {
        let endpoint = Endpoint()
        try await ModelServer.run(endpoint.answer) { server in
            try await Bench.run(binary) { bench in
                let reports = try bench.reports()
                try await bench.withWorker(.openai(Self.settings(server))) { _ in
                    let item = try await bench.submit("{\"prompt\": \"Why?\"}")
                    let report = try #require(await reports.collect(until: \.isOutcome).last)
                    #expect(report.task == item.task && report.leaseToken == item.leaseToken)
                    guard case .completed(let output, let usage) = report.body else {
                        Issue.record("\(report)")
                        return
                    }
                    #expect(output.text.hasPrefix("{\"text\":\"Done.\"") && usage?.tokens == 12)
                    try await bench.untilWorkIsDone()
                }
            }
        }
    }

    @Test func `while the model is away agents take no work, and probes release what waits, as the same attempt`()
        async throws
    {
        let endpoint = Endpoint()
        try await ModelServer.run(endpoint.answer) { server in
            try await Bench.run(TestNATS.binaries[0]) { bench in
                let reports = try bench.reports()
                try await bench.withWorker(.openai(Self.settings(server)), slots: 4) { _ in
                    endpoint.state.withLock { $0.isDown = true }
                    for _ in 0..<2 { try await bench.submit() }
                    var failures = 0
                    for await report in reports {
                        #expect(report.failure?.code == "model_server_error")
                        failures += 1
                        if failures == 2 { break }
                    }
                    // Open. Nobody takes what comes now, and nothing of it is asked.
                    var waiting: Set<TaskID> = []
                    for _ in 0..<6 { waiting.insert(try await bench.submit().task) }
                    try await bench.untilHeld(0)
                    #expect(try await bench.bus.incarnation(of: .work).messageCount == 6)
                    #expect(endpoint.state.withLock { $0.asked } == 2)
                    endpoint.state.withLock { state in
                        state.isDown = false
                        state.atOnceMax = []
                    }
                    for await report in reports where report.isOutcome {
                        guard case .completed = report.body else {
                            Issue.record("\(report)")
                            return
                        }
                        // No attempt was lost.
                        #expect(report.attempt == 1)
                        waiting.remove(report.task)
                        if waiting.isEmpty { break }
                    }
                    try await bench.untilWorkIsDone()
                    // Half-open, one at a time.
                    #expect(endpoint.state.withLock { $0.atOnceMax.prefix(2) } == [1, 1])
                    #expect(endpoint.state.withLock { $0.asked } == 8)
                }
            }
        }
    }

    @Test func `a probe that takes as long as a call may closes the breaker`() async throws {
        let endpoint = Endpoint()
        endpoint.state.withLock { $0.isDown = true }
        try await ModelServer.run({ request, reply in
            // Several times as long as the policy gives a probe.
            if !endpoint.state.withLock({ $0.isDown }) { try await Task.sleep(for: .milliseconds(800)) }
            try await endpoint.answer(request, reply)
        }) { server in
            var model = try Self.settings(server)
            model.policy.probes = 1
            model.policy.probeLease = .milliseconds(200)
            let settings = model
            try await Bench.run(TestNATS.binaries[0]) { bench in
                let (intakes, intakeInput) = AsyncStream<String>.makeStream()
                let logger = Logger(label: "test") { _ in IntakeLog { intakeInput.yield($0) } }
                try await bench.withWorker(.openai(settings), logger: logger) { _ in
                    for _ in 0..<2 { try await bench.submit() }
                    for await intake in intakes where intake == "nothing" { break }
                    endpoint.state.withLock { $0.isDown = false }
                    try await bench.submit()
                    var after: [String] = []
                    for await intake in intakes {
                        after.append(intake)
                        if after.count == 2 { break }
                    }
                    #expect(after == ["one", "everything"])
                    try await bench.untilWorkIsDone()
                }
            }
        }
    }

    @Test func `an operator's word on the fleet's breaker parks agents and releases them`() async throws {
        let endpoint = Endpoint()
        let redis = try await TestRedis.started()
        let configuration = RedisConfiguration(
            port: redis.port, password: TestRedis.password, commandTimeout: .seconds(10)
        )
        let connection = RedisConnection(configuration, logger: quietLogger)
        let operators = BreakerRegistry(
            redis: connection, replica: "operators", replicas: { 1 }, logger: quietLogger,
            settings: BreakerRegistry.Settings(timeout: .seconds(10))
        )
        try await ModelServer.run(endpoint.answer) { server in
            var model = try Self.settings(server)
            model.redis = configuration
            let (settings, name) = (model, model.breaker)
            try await Bench.run(TestNATS.binaries[0]) { bench in
                try await withThrowingTaskGroup(of: Void.self) { group in
                    group.addTask { try await connection.run() }
                    defer { group.cancelAll() }
                    try await connection.waitUntilConnected(within: .seconds(10))
                    let reports = try bench.reports()
                    let parked = Latch()
                    let logger = Logger(label: "test") { _ in
                        IntakeLog { if $0 == "nothing" { parked.open() } }
                    }
                    try await bench.withWorker(.openai(settings), logger: logger) { _ in
                        // Until the agent has told the fleet of its breaker nobody knows that name.
                        while case .unknown = try await operators.carryOut(
                            BreakerCommand(.forcedOpen, name: name, reason: "test", actor: "ops"))
                        { await Task.yield() }
                        await parked.wait()
                        let item = try await bench.submit()
                        try await bench.untilHeld(0)
                        #expect(try await bench.bus.incarnation(of: .work).messageCount == 1)
                        #expect(endpoint.state.withLock { $0.asked } == 0)
                        _ = try await operators.carryOut(
                            BreakerCommand(.automatic, name: name, reason: "test", actor: "ops"))
                        let report = await reports.collect(until: \.isOutcome).last
                        #expect(report?.task == item.task && report?.attempt == 1 && report?.failure == nil)
                    }
                }
            }
        }
    }

    @Test func `an agent in a process of its own keeps its key out of its log`() async throws {
        let endpoint = Endpoint()
        let folder = try temporaryFolder("model")
        defer { remove(folder) }
        let key = "sk-never-to-be-logged"
        let file = folder.appending(path: "key")
        try Data((key + "\n").utf8).write(to: file)
        let log = folder.appending(path: "log")
        try await ModelServer.run({ request, reply in
            #expect(request.header("authorization") == "Bearer \(key)")
            try await endpoint.answer(request, reply)
        }) { server in
            try await Bench.run(TestNATS.binaries[0]) { bench in
                let reports = try bench.reports()
                let agent = ServerProcess(
                    agentWorkerPath, ["--role", "developer", "--backend", "openai"],
                    environment: [
                        "GOLDEN_NATS_URL": bench.server.url, "GOLDEN_MODEL_URL": server.url,
                        "GOLDEN_MODEL_NAME": "model-1", "GOLDEN_MODEL_KEY_FILE": file.path,
                        "GOLDEN_LOG_LEVEL": "trace",
                    ], logFile: log
                )
                try await blocking { try agent.start { true } }
                try await bench.submit()
                let report = await reports.collect(until: \.isOutcome).last
                #expect(report?.failure == nil)
                try await blocking { agent.terminate() }
                let text = try String(contentsOf: log, encoding: .utf8)
                #expect(text.contains("asks a model") && text.contains("travels unencrypted"))
                #expect(!text.contains(key))
            }
        }
    }
}

/// Hears how much work the agent says it takes.
private struct IntakeLog: LogHandler {
    let heard: @Sendable (String) -> Void
    var metadata: Logger.Metadata = [:]
    var metadataProvider: Logger.MetadataProvider?
    var logLevel = Logger.Level.info

    init(_ heard: @escaping @Sendable (String) -> Void) { self.heard = heard }

    subscript(metadataKey key: String) -> Logger.Metadata.Value? {
        get { metadata[key] }
        set { metadata[key] = newValue }
    }

    func log(event: LogEvent) {
        if let intake = event.metadata?["intake"] { heard("\(intake)") }
    }
}
