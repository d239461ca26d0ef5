import Contracts
import Foundation
import MessageBus
import NATS
import Synchronization
import TestSupport
import Testing

/// A rolling restart: whoever takes over gets at once what the one before had asked for and not done.
@Suite(.serialized, .timeLimit(.minutes(2)))
struct HandBackTests {
    enum Ending: String, Sendable, CaseIterable { case cancelled, valve }

    static let cases = TestNATS.binaries.flatMap { binary in Ending.allCases.map { (binary, $0) } }

    @Test(arguments: cases)
    func `what a closing consumer was sent goes to the next at once`(_ binary: String, _ ending: Ending) async throws {
        try await BusUnderTest.run(binary) { test in
            let total = 3000
            let done = Mutex<Set<UInt64>>([])
            try await withThrowingTaskGroup(of: Void.self) { group in
                group.addTask {
                    for number in 0..<total {
                        let task = newTask()
                        _ = try await test.bus.publish(report(number, task), on: .results(developer, task), id: nil)
                    }
                }
                // Each lives for a few batches, while more is on its way to it.
                for _ in 0..<8 {
                    let mortal = try await BusUnderTest(binary, server: test.server)
                    try await Self.live(mortal.bus, ending) { sequence in _ = done.withLock { $0.insert(sequence) } }
                    await mortal.connection.shutdown(within: .seconds(5))
                }
                try await group.waitForAll()
            }
            #expect(!done.withLock { $0.isEmpty })
            let rest = Journal<UInt64>()
            let before = done.withLock { $0 }
            let start = ContinuousClock.now
            try await beside({
                try await test.bus.consume(.allResults, as: BusTopology.orchestratorResults) { batch in
                    batch.forEach { rest.add($0.sequence) }
                    return batch.map { _ in .acknowledge }
                }
            }) {
                var seen = rest.entries
                while before.union(seen).count < total { seen = await rest.wait(for: seen.count + 1) }
            }
            // What nobody hands back comes after the acknowledgement's deadline of 30 s.
            #expect(start.duration(to: .now) < .seconds(10))
        }
    }

    private static func live(
        _ bus: MessageBus, _ ending: Ending, _ handled: @escaping @Sendable (UInt64) -> Void
    ) async throws {
        let valve = IntakeValve()
        let batches = Journal<Int>()
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask {
                do {
                    try await bus.consume(
                        .allResults, as: BusTopology.orchestratorResults, batchMax: 32, valve: valve
                    ) { batch in
                        batch.forEach { handled($0.sequence) }
                        batches.add(batch.count)
                        return batch.map { _ in .acknowledge }
                    }
                } catch is CancellationError {}
            }
            _ = await batches.wait(for: 2)
            switch ending {
            case .cancelled: group.cancelAll()
            case .valve: valve.close()
            }
            try await group.waitForAll()
        }
    }
}
