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
            let done = Mutex<Set<UInt64>>([])
            let isOver = Mutex(false)
            let total = try await withThrowingTaskGroup(of: Int.self) { group in
                group.addTask { @Sendable in
                    // There is always more than a consumer asks for at once, however fast they are.
                    var count = 0
                    while !isOver.withLock({ $0 }) {
                        if count - done.withLock({ $0.count }) < 1000 {
                            let task = newTask()
                            _ = try await test.bus.publish(report(1, task), on: .results(developer, task), id: nil)
                            count += 1
                        } else {
                            try await Task.sleep(for: .milliseconds(1))
                        }
                    }
                    return count
                }
                // Each lives for a few batches, while more is on its way to it.
                for _ in 0..<8 {
                    let mortal = try await BusUnderTest(binary, server: test.server)
                    try await Self.live(mortal.bus, ending) { sequence in _ = done.withLock { $0.insert(sequence) } }
                    await mortal.connection.shutdown(within: .seconds(5))
                }
                isOver.withLock { $0 = true }
                return try await group.reduce(0, +)
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
                while before.union(seen).count < total { seen = try await rest.wait(for: seen.count + 1) }
            }
            // What nobody hands back comes after the acknowledgement's deadline of 30 s.
            #expect(start.duration(to: .now) < .seconds(20))
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
            _ = try await batches.wait(for: 2)
            switch ending {
            case .cancelled: group.cancelAll()
            case .valve: valve.close()
            }
            try await group.waitForAll()
        }
    }
}
