import Contracts
import Foundation
import MessageBus
import NATS
import TestSupport
import Testing

/// Work of roles without agents: nobody makes their consumers, and nobody takes it.
@Suite(.serialized, .timeLimit(.minutes(2)))
struct UntakenWorkTests {
    @Test(arguments: TestNATS.binaries)
    func `what lies in WORK is counted by role, with a consumer or without`(_ binary: String) async throws {
        try await BusUnderTest.run(binary) { test in
            let bus = test.bus
            #expect(try await bus.workHeld() == [:])
            try await bus.ensureWorkConsumer(developer)
            for role in [developer, tester, tester, tester, developer] {
                _ = try await bus.publish(workItem(role), on: .work(role), id: nil)
            }
            #expect(try await bus.workHeld() == [developer: 2, tester: 3])
            #expect(try await bus.consumerState(tester) == nil)
        }
    }

    @Test(arguments: TestNATS.binaries)
    func `work past its deadline is removed up to the first that may still be done`(_ binary: String) async throws {
        try await BusUnderTest.run(binary) { test in
            let bus = test.bus
            try await bus.ensureWorkConsumer(developer)
            // Somebody's clock may be behind: the third is late by less than the grace.
            for seconds in [-120.0, -120, -30, -120] {
                _ = try await bus.publish(workItem(tester, dueIn: seconds), on: .work(tester), id: nil)
            }
            for seconds in [-120.0, 60] {
                _ = try await bus.publish(workItem(developer, dueIn: seconds), on: .work(developer), id: nil)
            }
            #expect(try await bus.dropOverdueWork(now: Date(), limit: 1) == 1)
            #expect(try await bus.dropOverdueWork(now: Date(), limit: 100) == 2)
            #expect(try await bus.dropOverdueWork(now: Date(), limit: 100) == 0)
            #expect(try await bus.workHeld() == [developer: 1, tester: 2])
            #expect(try await bus.consumerState(developer)?.pending == 1)
            #expect(try await bus.dropOverdueWork(now: Date().addingTimeInterval(3600), limit: 100) == 3)
            #expect(try await bus.incarnation(of: .work).messageCount == 0)
        }
    }

    @Test(arguments: TestNATS.binaries)
    func `overdue work in an agent's hands is taken from it`(_ binary: String) async throws {
        try await BusUnderTest.run(binary) { test in
            let bus = test.bus
            let leases = try await bus.leaseWork(of: [developer], slots: 2)
            let taken = Journal<WorkLeases.Lease>()
            try await beside({ try await leases.run { $0.forEach(taken.add) } }) {
                _ = try await bus.publish(workItem(dueIn: -120), on: .work(developer), id: nil)
                let lease = try await taken.wait(for: 1)[0]
                #expect(try await bus.dropOverdueWork(now: Date(), limit: 100) == 1)
                #expect(try await bus.consumerState(developer)?.ackPending == 0)
                leases.acknowledge([lease])
                _ = try await bus.publish(workItem(), on: .work(developer), id: nil)
                let next = try await taken.wait(for: 2)[1]
                leases.acknowledge([next])
            }
            await leases.close()
            while try await bus.incarnation(of: .work).messageCount != 0 { await Task.yield() }
        }
    }

    @Test(arguments: TestNATS.binaries)
    func `a WORK that keeps everything for ever is given an age`(_ binary: String) async throws {
        let test = try await BusUnderTest(binary)
        _ = try await test.administer(
            "STREAM.CREATE.WORK",
            """
            {"name":"WORK","subjects":["work.>"],"retention":"workqueue","storage":"file","discard":"new",
            "max_bytes":1000000}
            """
        )
        let changes = try await test.bus.setUp()
        let work = try #require(changes.first { $0.object == "stream WORK" })
        #expect(work.kind == .update && work.differences.contains { $0.setting == "max_age" })
        // The longest timeout and an hour.
        #expect(try await test.administer("STREAM.INFO.WORK").contains("\"max_age\":90000000000000,"))
        #expect(try await test.bus.plan() == [])
        await test.connection.shutdown(within: .seconds(1))
    }
}
