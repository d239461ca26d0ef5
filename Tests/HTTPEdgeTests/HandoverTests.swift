internal import Foundation
internal import HTTPEdge
internal import HTTPTypes
internal import Logging
internal import ServiceLifecycle
internal import Synchronization
internal import TestSupport
import Testing

/// A server that ends while clients keep asking, and the one that follows it on the same socket.
@Suite(.timeLimit(.minutes(5))) struct HandoverTests {
    static let health = "GET /health HTTP/1.1\r\nHost: t\r\n\r\n"

    @Test func `a kept connection is answered once more while the server drains, and told so`() async throws {
        var configuration = EdgeServerConfiguration(port: 0)
        configuration.idleGrace = .seconds(10)
        try await TestEdge.run(server: configuration) { server in
            let connection = try await blocking {
                let connection = try RawConnection(port: server.port)
                try connection.send(Self.health)
                let answer = try connection.readAnswer()
                #expect(answer.status == 200 && answer.headers["connection"] == nil)
                return connection
            }
            await server.group.triggerGracefulShutdown()
            await server.edge.drain.wait()
            try await blocking {
                try connection.send(Self.health)
                let answer = try connection.readAnswer()
                #expect(answer.status == 200 && answer.headers["connection"] == "close")
                let rest = try connection.readToEnd()
                #expect(rest.isEmpty)
            }
        }
    }

    @Test func `a connection on which nothing is asked is closed after its grace`() async throws {
        var configuration = EdgeServerConfiguration(port: 0)
        configuration.idleGrace = .milliseconds(100)
        try await TestEdge.run(server: configuration) { server in
            let connection = try await blocking { try RawConnection(port: server.port) }
            await server.group.triggerGracefulShutdown()
            let rest = try await blocking { try connection.readToEnd() }
            #expect(rest.isEmpty)
        }
    }

    @Test func `the next server serves once it is ready, and no connection is refused or cut`() async throws {
        let shared = try ListeningSocket()
        let (ready, over) = (Flag(), Flag())
        let (firstServes, announced, firstEnded, firstMayEnd, secondMayEnd) = (Gate(), Gate(), Gate(), Gate(), Gate())
        let before = EdgeServerConfiguration(socket: try shared.duplicate())
        let after = EdgeServerConfiguration(socket: try shared.duplicate(), announce: { announced.open() })
        let dependency = Readiness.Check("dependency") {
            guard ready.isSet else { throw NotYet() }
        }
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask {
                try await TestEdge.run(server: before) { _ in
                    firstServes.open()
                    await firstMayEnd.wait()
                }
                firstEnded.open()
            }
            await firstServes.wait()
            let answered = [Gate(), Gate()]
            for gate in answered {
                group.addTask {
                    defer { gate.open() }
                    try await blocking { try Self.ask(shared.port, answered: gate.open) { over.isSet } }
                }
            }
            group.addTask {
                try await TestEdge.run(server: after, checks: [dependency]) { second in
                    #expect(ready.isSet, "it did not listen before")
                    await secondMayEnd.wait()
                    let answer = try await second.send("GET", "/health")
                    #expect(answer.status == 200)
                    over.set()
                }
            }
            for gate in answered { await gate.wait() }
            ready.set()
            await announced.wait()
            firstMayEnd.open()
            await firstEnded.wait()
            secondMayEnd.open()
            try await group.waitForAll()
        }
    }

    /// Opens once, for one who waits.
    private final class Gate: Sendable {
        private let stream: AsyncStream<Never>
        private let continuation: AsyncStream<Never>.Continuation

        init() { (stream, continuation) = AsyncStream.makeStream() }

        func open() { continuation.finish() }

        func wait() async { for await _ in stream {} }
    }

    private final class Flag: Sendable {
        private let state = Mutex(false)

        var isSet: Bool { state.withLock(\.self) }

        func set() { state.withLock { $0 = true } }
    }

    private struct NotYet: Error {}

    /// Asks on one connection after the other, each until it is told that it closes; throws when an answer is missing.
    private static func ask(_ port: Int, answered: () -> Void, until isOver: () -> Bool) throws {
        while !isOver() {
            let connection = try RawConnection(port: port)
            for _ in 0..<50 where !isOver() {
                try connection.send(health)
                let answer = try connection.readAnswer()
                #expect(answer.status == 200)
                answered()
                if answer.headers["connection"] == "close" { break }
            }
        }
    }
}

/// A socket that several servers serve in turn, as a supervisor holds it.
private final class ListeningSocket: Sendable {
    struct Failed: Error {}

    let port: Int
    private let descriptor: Int32

    init() throws {
        descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_addr.s_addr = inet_addr("127.0.0.1")
        var size = socklen_t(MemoryLayout<sockaddr_in>.size)
        let descriptor = descriptor
        let isBound = withUnsafeMutablePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                bind(descriptor, $0, size) == 0 && listen(descriptor, 64) == 0
                    && getsockname(descriptor, $0, &size) == 0
            }
        }
        port = Int(UInt16(bigEndian: address.sin_port))
        guard isBound else { throw Failed() }
    }

    deinit { close(descriptor) }

    /// A server closes the descriptor that it is given.
    func duplicate() throws -> Int32 {
        let copy = dup(descriptor)
        guard copy >= 0 else { throw Failed() }
        return copy
    }
}
