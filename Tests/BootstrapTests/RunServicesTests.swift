internal import Bootstrap
internal import Foundation
internal import Logging
internal import ServiceLifecycle
internal import Synchronization
import Testing

@Suite(.serialized, .timeLimit(.minutes(5))) struct RunServicesTests {
    private static let silence = Logger(label: "tests") { _ in SwiftLogNoOpLogHandler() }

    /// Notes when it starts and stops.
    private struct Noted: Service {
        let name: String
        let notes: Notes

        func run() async throws {
            notes.add("\(name) starts")
            try await gracefulShutdown()
            notes.add("\(name) stops")
        }
    }

    /// Pays no heed to the shutdown.
    private struct Stubborn: Service {
        let notes: Notes

        func run() async throws {
            notes.add("stubborn starts")
            do { try await Task.sleep(for: .seconds(60)) } catch { notes.add("stubborn cancelled") }
        }
    }

    private struct Failing: Service {
        struct Failure: Error {}
        func run() async throws { throw Failure() }
    }

    private final class Notes: Sendable {
        private let lines = Mutex<[String]>([])
        let (started, source) = AsyncStream<Void>.makeStream()

        func add(_ line: String) {
            lines.withLock { $0.append(line) }
            if line.hasSuffix("starts") { source.yield() }
        }

        var all: [String] { lines.withLock { $0 } }
    }

    /// Signals this very process once `count` services have started.
    private func run(_ services: [any Service], _ notes: Notes, count: Int, drain: Duration = .seconds(30)) async throws
    {
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { try await runServices(services, logger: Self.silence, drainTimeout: drain) }
            var iterator = notes.started.makeAsyncIterator()
            for _ in 0..<count { _ = await iterator.next() }
            kill(getpid(), SIGTERM)
            try await group.waitForAll()
        }
    }

    @Test func `SIGTERM stops services in reverse order`() async throws {
        let notes = Notes()
        try await run([Noted(name: "store", notes: notes), Noted(name: "server", notes: notes)], notes, count: 2)
        #expect(Array(notes.all.suffix(2)) == ["server stops", "store stops"])
    }

    @Test func `a service that does not stop is cancelled after the drain timeout`() async throws {
        let notes = Notes()
        try await run([Stubborn(notes: notes)], notes, count: 1, drain: .milliseconds(200))
        #expect(notes.all == ["stubborn starts", "stubborn cancelled"])
    }

    @Test func `a service that fails ends the process with its error`() async throws {
        await #expect(throws: Failing.Failure.self) {
            try await runServices([Failing(), Noted(name: "other", notes: Notes())], logger: Self.silence)
        }
    }
}
