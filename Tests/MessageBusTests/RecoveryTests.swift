import Contracts
import Foundation
import MessageBus
import NATS
import TestSupport
import Testing

@Suite(.serialized, .timeLimit(.minutes(2)))
struct RecoveryTests {
    @Test(arguments: TestNATS.binaries)
    func `a wiped store is made again by a publish and told`(_ binary: String) async throws {
        try await BusUnderTest.run(binary) { test in
            let before = try await test.bus.incarnation(of: .work)
            let losses = await test.bus.lostStreams()
            try await wipe(test)
            let ack = try await test.bus.publish(workItem(), on: .work(developer), id: "w1")
            #expect(ack.sequence == 1)
            #expect(try await test.bus.incarnation(of: .work).created != before.created)
            for await loss in losses where loss.stream == .work { break }
            #expect(try await test.bus.plan() == [])
        }
    }

    @Test(arguments: TestNATS.binaries)
    func `a consumer goes on after its store was wiped`(_ binary: String) async throws {
        try await BusUnderTest.run(binary) { test in
            let bus = test.bus
            let seen = Journal<TaskID>()
            try await beside({
                try await bus.consume(.allResults, as: BusTopology.orchestratorResults) { batch in
                    batch.forEach { seen.add($0.message.task) }
                    return batch.map { _ in .acknowledge }
                }
            }) {
                let (one, two) = (newTask(), newTask())
                _ = try await bus.publish(report(1, one), on: .results(developer, one), id: "1")
                _ = try await seen.wait(for: 1)
                try await wipe(test)
                _ = try await bus.publish(report(1, two), on: .results(developer, two), id: "2")
                let tasks = try await seen.wait(for: 2)
                #expect(tasks == [one, two])
            }
        }
    }

    @Test(arguments: TestNATS.binaries)
    func `a stream deleted while running comes back with its consumer`(_ binary: String) async throws {
        try await BusUnderTest.run(binary) { test in
            let bus = test.bus
            let seen = Journal<TaskID>()
            try await beside({
                try await bus.consume(.allResults, as: BusTopology.orchestratorResults) { batch in
                    batch.forEach { seen.add($0.message.task) }
                    return batch.map { _ in .acknowledge }
                }
            }) {
                let (one, two) = (newTask(), newTask())
                _ = try await bus.publish(report(1, one), on: .results(developer, one), id: "1")
                _ = try await seen.wait(for: 1)
                _ = try await test.administer("STREAM.DELETE.RESULTS")
                _ = try await bus.publish(report(1, two), on: .results(developer, two), id: "2")
                let tasks = try await seen.wait(for: 2)
                #expect(tasks == [one, two])
            }
        }
    }

    /// nats-server 2.9 would remove the files of a stream that is made again at once together with the old one's.
    @Test(arguments: TestNATS.binaries)
    func `a stream deleted among publishers takes messages once it is made again`(_ binary: String) async throws {
        try await BusUnderTest.run(binary) { test in
            let bus = test.bus
            for round in 0..<3 {
                try await withThrowingTaskGroup(of: Void.self) { group in
                    for publisher in 0..<16 {
                        group.addTask {
                            for number in 0..<50 {
                                let task = newTask()
                                let id = "\(round).\(publisher).\(number)"
                                // What is lost in between is its publisher's to say again.
                                do {
                                    _ = try await bus.publish(report(1, task), on: .results(developer, task), id: id)
                                } catch { continue }
                            }
                        }
                    }
                    group.addTask { _ = try await test.administer("STREAM.DELETE.RESULTS") }
                    try await group.waitForAll()
                }
                let task = newTask()
                _ = try await bus.publish(report(1, task), on: .results(developer, task), id: "after \(round)")
                #expect(try await bus.incarnation(of: .results).messageCount > 0)
            }
        }
    }

    @Test(arguments: TestNATS.binaries)
    func `running bus repairs after a reconnect without being asked`(_ binary: String) async throws {
        try await BusUnderTest.run(binary) { test in
            let bus = test.bus
            let losses = await bus.lostStreams()
            try await beside({ try await bus.run() }) {
                try await test.server.crashAndLoseStore()
                var lost: Set<BusTopology.StreamName> = []
                for await loss in losses {
                    lost.insert(loss.stream)
                    if lost.count == BusTopology.StreamName.allCases.count { break }
                }
                #expect(lost == Set(BusTopology.StreamName.allCases))
            }
        }
    }

    @Test(arguments: TestNATS.binaries)
    func `many publishers at once repair a wiped store once`(_ binary: String) async throws {
        try await BusUnderTest.run(binary) { test in
            let bus = test.bus
            try await wipe(test)
            try await withThrowingTaskGroup(of: Void.self) { group in
                for number in 0..<200 {
                    group.addTask {
                        _ = try await bus.publish(workItem(), on: .work(developer), id: "\(number)")
                    }
                }
                try await group.waitForAll()
            }
            #expect(try await bus.incarnation(of: .work).messageCount == 200)
        }
    }

    @Test(arguments: TestNATS.binaries)
    func `health says whether the server answers`(_ binary: String) async throws {
        try await BusUnderTest.run(binary) { test in
            try await test.bus.checkHealth()
            #expect(test.bus.isConnected)
            test.server.pause()
            let error = await #expect(throws: BusError.self) { try await test.bus.checkHealth() }
            #expect(error?.code == .unavailable)
            test.server.resume()
            try await reconnected(test)
            try await test.bus.checkHealth()
        }
    }

    /// Kills the server, deletes its store, and waits until the connection is back.
    private func wipe(_ test: BusUnderTest) async throws {
        try await test.server.crash()
        try test.server.wipeStore()
        for await state in test.bus.connectionEvents() {
            if case .disconnected = state { break }
        }
        try await test.server.restart()
        try await reconnected(test)
    }

    private func reconnected(_ test: BusUnderTest) async throws {
        for await state in test.bus.connectionEvents() {
            if case .connected = state { break }
        }
    }
}
