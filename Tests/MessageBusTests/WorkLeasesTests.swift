import Contracts
import Foundation
import MessageBus
import NATS
import TestSupport
import Testing

@Suite(.serialized, .timeLimit(.minutes(2)))
struct WorkLeasesTests {
    @Test(arguments: TestNATS.binaries)
    func `never more than the slots are in hand over all roles`(_ binary: String) async throws {
        try await BusUnderTest.run(binary) { test in
            let bus = test.bus
            let leases = try await bus.leaseWork(of: [developer, tester], slots: 2)
            for _ in 0..<5 {
                _ = try await bus.publish(workItem(developer), on: .work(developer), id: nil)
                _ = try await bus.publish(workItem(tester), on: .work(tester), id: nil)
            }
            let taken = Journal<WorkLeases.Lease>()
            try await beside({ try await leases.run { $0.forEach(taken.add) } }) {
                for done in 0..<10 {
                    let lease = try await taken.wait(for: done + 1)[done]
                    #expect(leases.heldCount <= 2)
                    leases.acknowledge([lease])
                }
                #expect(Set(taken.entries.map(\.message.task)).count == 10)
            }
            #expect(leases.heldCount == 0)
            await leases.close()
            while try await bus.incarnation(of: .work).messageCount != 0 { await Task.yield() }
        }
    }

    @Test(arguments: TestNATS.binaries)
    func `a busy agent of two roles leaves work to an idle one at once`(_ binary: String) async throws {
        try await BusUnderTest.run(binary) { test in
            let bus = test.bus
            let busy = try await bus.leaseWork(of: [developer, tester], slots: 1)
            let idle = try await bus.leaseWork(of: [tester], slots: 4)
            let (busyTaken, idleTaken) = (Journal<WorkLeases.Lease>(), Journal<WorkLeases.Lease>())
            try await beside({ try await busy.run { $0.forEach(busyTaken.add) } }) {
                _ = try await bus.publish(workItem(developer), on: .work(developer), id: nil)
                let held = try await busyTaken.wait(for: 1)
                try await beside({ try await idle.run { $0.forEach(idleTaken.add) } }) {
                    let start = ContinuousClock.now
                    for _ in 0..<4 { _ = try await bus.publish(workItem(tester), on: .work(tester), id: nil) }
                    _ = try await idleTaken.wait(for: 4)
                    // What the busy one had asked for would come after the acknowledgement's deadline of 30 s.
                    #expect(start.duration(to: .now) < .seconds(20))
                    #expect(busyTaken.entries.count == 1)
                    // Free again, the first agent takes part again.
                    busy.acknowledge(held)
                    _ = try await bus.publish(workItem(tester), on: .work(tester), id: nil)
                    let next = try await busyTaken.wait(for: 2)[1]
                    #expect(next.message.role == tester)
                }
            }
        }
    }

    @Test(arguments: TestNATS.binaries)
    func `closing gives back what was not taken`(_ binary: String) async throws {
        try await BusUnderTest.run(binary) { test in
            let bus = test.bus
            let first = try await bus.leaseWork(of: [developer], slots: 4)
            for _ in 0..<4 { _ = try await bus.publish(workItem(), on: .work(developer), id: nil) }
            let taken = Journal<WorkLeases.Lease>()
            try await beside({ try await first.run { $0.forEach(taken.add) } }) {
                let leases = try await taken.wait(for: 4)
                await first.close()
                for lease in leases { first.release(lease) }
            }
            let second = try await bus.leaseWork(of: [developer], slots: 4)
            let retaken = Journal<WorkLeases.Lease>()
            let start = ContinuousClock.now
            try await beside({ try await second.run { $0.forEach(retaken.add) } }) {
                let leases = try await retaken.wait(for: 4)
                // What nobody gives back comes after the acknowledgement's deadline of 30 s.
                #expect(start.duration(to: .now) < .seconds(20))
                #expect(leases.allSatisfy { $0.deliveryCount >= 2 })
                second.acknowledge(leases)
            }
        }
    }

    @Test(arguments: TestNATS.binaries)
    func `unreadable work is a dead letter and frees its slot`(_ binary: String) async throws {
        try await BusUnderTest.run(binary) { test in
            let bus = test.bus
            let letters = try test.connection.subscribe("dlq.>")
            let leases = try await bus.leaseWork(of: [developer], slots: 1)
            _ = try await test.connection.publishToStream("work.developer", payload: Array("{}".utf8))
            let item = try workItem()
            _ = try await bus.publish(item, on: .work(developer), id: nil)
            let taken = Journal<WorkLeases.Lease>()
            try await beside({ try await leases.run { $0.forEach(taken.add) } }) {
                for await letter in letters {
                    #expect(letter.subject == "dlq.work.developer")
                    break
                }
                let lease = try await taken.wait(for: 1)[0]
                #expect(lease.message.task == item.task)
            }
        }
    }
}
