import Bootstrap
import Contracts
import Foundation
import MessageBus
import NATS
import TestSupport
import Testing

@Suite(.serialized, .timeLimit(.minutes(2)))
struct TopologyTests {
    @Test(arguments: TestNATS.binaries)
    func `setting up makes every stream and consumer once`(_ binary: String) async throws {
        try await BusUnderTest.run(binary) { test in
            let changes = try await test.bus.setUp()
            #expect(changes == [])
            #expect(try await test.bus.plan() == [])
            for name in BusTopology.StreamName.allCases {
                #expect(try await test.bus.incarnation(of: name).messageCount == 0)
            }
            #expect(try await test.bus.backlog(of: BusTopology.orchestratorResults)?.pending == 0)
        }
    }

    @Test(arguments: TestNATS.binaries)
    func `the plan names what is missing and changes nothing`(_ binary: String) async throws {
        let test = try await BusUnderTest(binary)
        let plan = try await test.bus.plan()
        #expect(plan.count == BusTopology.streams.count + BusTopology.consumers.count)
        #expect(plan.allSatisfy { $0.kind == .create })
        #expect(try await test.bus.plan() == plan)
        let error = await #expect(throws: BusError.self) { try await test.bus.incarnation(of: .work) }
        #expect(error?.code == .topologyMissing)
        await test.connection.shutdown(within: .seconds(1))
    }

    @Test(arguments: TestNATS.binaries)
    func `drift is shown, repaired, and foreign settings survive`(_ binary: String) async throws {
        try await BusUnderTest.run(binary) { test in
            _ = try await test.administer(
                "STREAM.UPDATE.RESULTS",
                """
                {"name":"RESULTS","subjects":["results.>"],"retention":"limits","storage":"file","discard":"old",
                "num_replicas":1,"max_age":60000000000,"max_bytes":1000000,"max_msg_size":2097152,
                "duplicate_window":60000000000,"description":"kept"}
                """
            )
            let plan = try await test.bus.plan()
            #expect(plan.map(\.object) == ["stream RESULTS"])
            #expect(plan.first?.kind == .update)
            #expect(plan.first?.differences.map(\.setting) == ["max_age", "max_bytes", "duplicate_window"])
            #expect(plan.first?.differences.first?.found == "60000000000")
            #expect(try await test.bus.setUp() == plan)
            #expect(try await test.bus.plan() == [])
            #expect(try await test.administer("STREAM.INFO.RESULTS").contains("\"description\":\"kept\""))
        }
    }

    @Test func `where the bus is and what it may keep come from the settings of every program`() throws {
        let plain = try BusSettings(ServiceConfiguration(environment: [:]), name: "x")
        #expect(plain.connection.servers == ["nats://127.0.0.1:4222"] && plain.connection.tls == nil)
        #expect(plain.streams.storageBytesMax == 1 << 30 && plain.streams.replicas == 1 && plain.streams.ownsStreams)
        let settings = ServiceConfiguration(environment: [
            "GOLDEN_NATS_URL": "nats://a:1,nats://b:2", "GOLDEN_NATS_USER": "me", "GOLDEN_NATS_PASSWORD": "secret",
            "GOLDEN_NATS_CA": "/ca.pem", "GOLDEN_NATS_REPLICAS": "3", "GOLDEN_NATS_STORAGE": "4GiB",
        ])
        let told = try BusSettings(settings, name: "x", ownsStreams: false)
        #expect(told.connection.servers == ["nats://a:1", "nats://b:2"] && told.connection.tls?.caFile == "/ca.pem")
        guard case .userPassword("me", "secret") = told.connection.credentials else {
            Issue.record("\(told.connection.credentials)")
            return
        }
        #expect(told.streams.storageBytesMax == 4 << 30 && told.streams.replicas == 3 && !told.streams.ownsStreams)
        #expect(!settings.redacted.joined().contains("secret"))
        for size in ["127MiB", "a lot"] {
            #expect(throws: BootstrapError.self) {
                try BusSettings(ServiceConfiguration(environment: ["GOLDEN_NATS_STORAGE": size]), name: "x")
            }
        }
    }

    @Test(arguments: TestNATS.binaries)
    func `another bound on storage is drift, and is applied`(_ binary: String) async throws {
        try await BusUnderTest.run(binary) { test in
            let settings = ServiceConfiguration(environment: ["GOLDEN_NATS_STORAGE": "512MiB"])
            let bus = MessageBus(
                connection: test.connection, configuration: try BusSettings(settings, name: "x").streams,
                logger: quietLogger)
            let plan = try await bus.plan()
            #expect(plan.count == BusTopology.streams.count)
            #expect(plan.allSatisfy { $0.kind == .update && $0.differences.map(\.setting) == ["max_bytes"] })
            #expect(try await bus.setUp() == plan)
            let share = (512 << 20) / 32 * 11
            #expect(try await test.administer("STREAM.INFO.RESULTS").contains("\"max_bytes\":\(share),"))
        }
    }

    @Test(arguments: TestNATS.binaries)
    func `a setting that cannot change is a conflict and stays`(_ binary: String) async throws {
        let test = try await BusUnderTest(binary)
        _ = try await test.administer(
            "STREAM.CREATE.WORK",
            "{\"name\":\"WORK\",\"subjects\":[\"work.>\"],\"retention\":\"limits\",\"storage\":\"file\"}"
        )
        let error = await #expect(throws: BusError.self) { try await test.bus.setUp() }
        #expect(error?.code == .topologyConflict)
        #expect(error?.message.contains("retention: \"limits\" -> \"workqueue\"") == true)
        // All the rest was set up.
        #expect(try await test.bus.plan().map(\.object) == ["stream WORK"])
        await test.connection.shutdown(within: .seconds(1))
    }

    @Test(arguments: TestNATS.binaries)
    func `an agent makes its role's consumer and no stream`(_ binary: String) async throws {
        let owner = try await BusUnderTest(binary)
        let agent = try await BusUnderTest(binary, ownsStreams: false, server: owner.server)
        let error = await #expect(throws: BusError.self) { try await agent.bus.ensureWorkConsumer(developer) }
        #expect(error?.code == .topologyMissing)
        _ = try await owner.bus.setUp()
        #expect(try await owner.bus.consumerState(developer) == nil)
        try await agent.bus.ensureWorkConsumer(developer)
        try await agent.bus.ensureWorkConsumer(developer)
        #expect(try await owner.bus.consumerState(developer)?.pending == 0)
        await agent.connection.shutdown(within: .seconds(1))
        await owner.connection.shutdown(within: .seconds(1))
    }

    @Test(arguments: TestNATS.binaries)
    func `an advisory of exhausted deliveries is captured`(_ binary: String) async throws {
        try await BusUnderTest.run(binary) { test in
            _ = try await test.administer(
                "CONSUMER.DURABLE.CREATE.RESULTS.foreign",
                """
                {"stream_name":"RESULTS","config":{"durable_name":"foreign","ack_policy":"explicit",
                "deliver_policy":"all","max_deliver":1,"ack_wait":100000000}}
                """
            )
            let sent = report(1)
            _ = try await test.bus.publish(sent, on: .results(developer, sent.task), id: nil)
            let advisories = try test.connection.subscribe("$JS.EVENT.ADVISORY.CONSUMER.MAX_DELIVERIES.>")
            let pull = try test.connection.pullConsumer(stream: "RESULTS", consumer: "foreign", capacity: 1)
            _ = try await pull.nextBatch(max: 1)
            for await _ in advisories { break }
            // The stream stores what subscribers just heard.
            while try await test.bus.incarnation(of: .advisories).messageCount == 0 { await Task.yield() }
            pull.close()
        }
    }
}
