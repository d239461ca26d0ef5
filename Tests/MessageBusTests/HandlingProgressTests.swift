import Contracts
import NATS
import TestSupport
import Testing

@testable import MessageBus

/// Only what a consumer failed to handle itself makes it give a message up.
@Suite(.serialized, .timeLimit(.minutes(2)))
struct HandlingProgressTests {
    private static func key(_ sequence: UInt64, at timestamp: Int64 = 1) -> HandlingProgress.Key {
        HandlingProgress.Key(sequence: sequence, timestampNanoseconds: timestamp)
    }

    @Test func `failures are counted for each message, until it is settled`() {
        let progress = HandlingProgress(failingMax: 10)
        for count in 1...3 { #expect(progress.failed(Self.key(1), isThrown: count == 2) == count) }
        #expect(progress.failed(Self.key(2), isThrown: false) == 1)
        // The stream was wiped: another message under the same number.
        #expect(progress.failed(Self.key(1, at: 2), isThrown: false) == 1)
        progress.forget(Self.key(1))
        #expect(progress.failed(Self.key(1), isThrown: false) == 1)
        #expect(progress.failed(Self.key(2), isThrown: false) == 2)
    }

    @Test func `progress is what was handled since a message first made the handler throw`() {
        let progress = HandlingProgress(failingMax: 10)
        #expect(!progress.wasMade(sinceThrowOf: Self.key(1)))
        _ = progress.failed(Self.key(1), isThrown: false)
        progress.handled(1)
        #expect(!progress.wasMade(sinceThrowOf: Self.key(1)), "it was handled itself, with an answer")
        _ = progress.failed(Self.key(1), isThrown: true)
        #expect(!progress.wasMade(sinceThrowOf: Self.key(1)))
        progress.handled(1)
        _ = progress.failed(Self.key(1), isThrown: true)
        #expect(progress.wasMade(sinceThrowOf: Self.key(1)))
        progress.forget(Self.key(1))
        #expect(!progress.wasMade(sinceThrowOf: Self.key(1)))
    }

    @Test func `however many fail at once, each is given up in its turn`() {
        let failing = BusTopology.orchestratorResults.ackPendingMax
        let progress = HandlingProgress(failingMax: failing)
        for round in 1...BusTopology.deliveriesMax {
            let counts = Set((1...UInt64(failing)).map { progress.failed(Self.key($0), isThrown: false) })
            #expect(counts == [round])
        }
    }

    @Test func `those that failed longest ago are forgotten first`() {
        let progress = HandlingProgress(failingMax: 2)
        for sequence: UInt64 in [1, 2, 3] { #expect(progress.failed(Self.key(sequence), isThrown: false) == 1) }
        #expect(progress.failed(Self.key(2), isThrown: false) == 2)
        #expect(progress.failed(Self.key(4), isThrown: false) == 1)
        #expect(progress.failed(Self.key(1), isThrown: false) == 1, "it was the oldest of four")
        #expect(progress.failed(Self.key(2), isThrown: false) == 3)
    }

    /// Two calls of `consume` know as little of each other as two processes do.
    @Test(arguments: TestNATS.binaries)
    func `what waited for another process is given up after five failures, not at the first`(
        _ binary: String
    ) async throws {
        try await BusUnderTest.run(binary) { test in
            let bus = test.bus
            let task = newTask()
            let letters = try test.connection.subscribe("dlq.>")
            _ = try await bus.publish(report(1, task), on: .results(developer, task), id: nil)
            let waits = Journal<Int>()
            try await beside({
                try await bus.consume(.allResults, as: BusTopology.orchestratorResults) { batch in
                    batch.map { received in
                        waits.add(received.deliveryCount)
                        return .wait(.milliseconds(20))
                    }
                }
            }) {
                _ = try await waits.wait(for: BusTopology.deliveriesMax)
            }
            let failures = Journal<Int>()
            try await beside({
                try await bus.consume(.allResults, as: BusTopology.orchestratorResults) { batch in
                    batch.map { received in
                        failures.add(received.deliveryCount)
                        return .retry(after: .milliseconds(20), error: "no")
                    }
                }
            }) {
                for await letter in letters {
                    #expect(letter.headers[MessageHeader.reason] == "deliveries_exhausted")
                    break
                }
            }
            let counts = failures.entries
            #expect(counts.count == BusTopology.deliveriesMax)
            #expect((counts.first ?? 0) > BusTopology.deliveriesMax)
        }
    }

    @Test(arguments: TestNATS.binaries)
    func `a letter that could not be stored is tried again after one more failure, not after five`(
        _ binary: String
    ) async throws {
        try await BusUnderTest.run(binary) { test in
            let bus = test.bus
            let task = newTask()
            // Hears what is published, stored or not.
            let letters = try test.connection.subscribe("dlq.>")
            _ = try await test.administer(
                "STREAM.UPDATE.DLQ",
                """
                {"name":"DLQ","subjects":["dlq.>"],"retention":"limits","storage":"file","discard":"new",
                "num_replicas":1,"max_bytes":1}
                """
            )
            #expect(try await bus.plan().map(\.object) == ["stream DLQ"])
            _ = try await bus.publish(report(1, task), on: .results(developer, task), id: nil)
            let failures = Journal<Int>()
            var heard: [Int] = []
            try await beside({
                try await bus.consume(.allResults, as: BusTopology.orchestratorResults) { batch in
                    // It is back: its letter was refused.
                    if failures.entries.count == BusTopology.deliveriesMax { _ = try await bus.setUp() }
                    return batch.map { received in
                        failures.add(received.deliveryCount)
                        return .retry(after: .milliseconds(20), error: "no")
                    }
                }
            }) {
                for await _ in letters {
                    heard.append(failures.entries.count)
                    if heard.count == 2 { break }
                }
                while bus.counts.deadLettered == 0 { await Task.yield() }
            }
            #expect(heard == [BusTopology.deliveriesMax, BusTopology.deliveriesMax + 1])
            #expect(try await bus.incarnation(of: .deadLetters).messageCount == 1)
        }
    }
}
