internal import Foundation
internal import Synchronization
internal import TestSupport
import Testing

/// What tests with servers stand on: threads for what blocks, and processes that come to an end.
@Suite(.timeLimit(.minutes(5))) struct `The tests' own processes` {
    private static func shell(_ script: String) -> Process {
        let process = Process()
        process.executableURL = URL(filePath: "/bin/sh")
        process.arguments = ["-c", script]
        process.standardInput = FileHandle.nullDevice
        process.standardOutput = FileHandle.nullDevice
        process.standardError = FileHandle.nullDevice
        return process
    }

    /// How long this thread has been on a processor.
    private static func busyTime() -> Duration {
        var time = timespec()
        clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time)
        return Duration.seconds(time.tv_sec) + Duration.nanoseconds(time.tv_nsec)
    }

    @Test func `one that hangs is killed at the limit, and whoever asked is told`() async throws {
        let process = Self.shell("exec sleep 1000")
        let error = await #expect(throws: ServerProcess.Failure.self) {
            try await blocking { _ = try Spawner.shared.output(of: process, within: .milliseconds(200)) }
        }
        #expect(error?.description.contains("sleep 1000") == true)
        try #require(!process.isRunning)
        #expect(process.terminationReason == .uncaughtSignal)
    }

    @Test func `waiting for one holds no core`() async throws {
        let busy = try await blocking {
            let process = Self.shell("exec sleep 1")
            try Spawner.shared.start(process)
            let before = Self.busyTime()
            Spawner.shared.wait(for: process)
            return Self.busyTime() - before
        }
        #expect(busy < .milliseconds(500))
    }

    @Test func `what blocks for long keeps little else waiting`() async throws {
        let arrived = Arrivals()
        let haveMet = try await withThrowingTaskGroup(of: Bool.self) { group in
            for _ in 0..<8 {
                group.addTask {
                    try await blocking {
                        arrived.count.withLock { $0 += 1 }
                        let end = ContinuousClock.now + .seconds(30)
                        while arrived.count.withLock({ $0 }) < 8, ContinuousClock.now < end { usleep(5_000) }
                        return arrived.count.withLock { $0 } == 8
                    }
                }
            }
            return try await group.reduce(true) { $0 && $1 }
        }
        #expect(haveMet)
    }

    private final class Arrivals: Sendable {
        let count = Mutex(0)
    }
}
