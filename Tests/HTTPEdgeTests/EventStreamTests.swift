internal import Contracts
internal import Foundation
internal import HTTPEdge
internal import HTTPTypes
internal import Hummingbird
internal import ServiceLifecycle
internal import Synchronization
internal import TestSupport
import Testing

/// Server-sent events over a real connection.
@Suite(.timeLimit(.minutes(5))) struct EventStreamTests {
    /// Gives out numbered events as a test releases them.
    final class Source: Sendable {
        private let state = Mutex((count: 0, last: Int.max))
        private let (signal, trigger) = AsyncStream<Void>.makeStream()
        let asked = Mutex<[Int]>([])
        let ended = Drain()

        func release(_ count: Int, last: Int = .max) {
            state.withLock { $0 = (count, last) }
            trigger.yield()
        }

        func next(after: Int) async throws -> EventPage {
            asked.withLock { $0.append(after) }
            defer { if Task.isCancelled { ended.begin() } }
            while true {
                let (count, last) = state.withLock { $0 }
                if count > after {
                    let events = ((after + 1)...count).map {
                        ServerSentEvent(id: $0, name: "thing", data: "{\"n\":\($0)}")
                    }
                    return EventPage(events: events, isLast: count >= last)
                }
                for await _ in signal { break }
                try Task.checkCancellation()
            }
        }
    }

    private func route(_ source: Source, heartbeat: Duration = .seconds(15), access: Route.Access = .open) -> Route {
        Route(
            .get, "/stream", access: access,
            operation: Operation(id: "stream", summary: "Stream.", tag: "t", answers: [])
        ) { request, context in
            let after = try request.lastEventID() ?? 0
            return EventStream(heartbeat: heartbeat) { try await source.next(after: $0) }
                .response(to: request, context, after: after)
        }
    }

    private func open(_ server: TestEdge, headers: String = "") async throws -> RawConnection {
        try await blocking {
            let connection = try RawConnection(port: server.port)
            try connection.send("GET /stream HTTP/1.1\r\nHost: t\r\nAccept: text/event-stream\r\n\(headers)\r\n")
            return connection
        }
    }

    @Test func `events come as they happen and the stream ends after the last`() async throws {
        let source = Source()
        try await TestEdge.run(routes: [route(source)]) { server in
            let connection = try await open(server)
            let head = try await blocking { try connection.read(until: "\r\n\r\n") }
            #expect(head.lowercased().contains("content-type: text/event-stream"))
            source.release(2)
            let first = try await blocking { try connection.read(until: "{\"n\":2}\n\n") }
            #expect(first.contains("id: 1\nevent: thing\ndata: {\"n\":1}\n\nid: 2\n"))
            source.release(3, last: 3)
            let rest = try await blocking { try connection.readToEnd() }
            #expect(rest.contains("id: 3\nevent: thing\ndata: {\"n\":3}\n\n"))
            #expect(rest.hasSuffix("0\r\n\r\n"))
            #expect(source.asked.withLock { $0 } == [0, 2])
        }
    }

    @Test func `a client that comes back gets what it has not seen`() async throws {
        let source = Source()
        source.release(5, last: 5)
        try await TestEdge.run(routes: [route(source)]) { server in
            let connection = try await open(server, headers: "Last-Event-ID: 3\r\n")
            let text = try await blocking { try connection.readToEnd() }
            #expect(!text.contains("id: 3\n") && text.contains("id: 4\n") && text.contains("id: 5\n"))
            let bad = try await server.send("GET", "/stream", headers: ["Last-Event-ID": "x"])
            #expect(bad.status == 400)
        }
    }

    @Test func `silence is filled with comments`() async throws {
        let source = Source()
        try await TestEdge.run(routes: [route(source, heartbeat: .milliseconds(50))]) { server in
            let connection = try await open(server)
            _ = try await blocking { try connection.read(until: ": heartbeat\n\n") }
            _ = try await blocking { try connection.read(until: ": heartbeat\n\n") }
            // The heartbeats have not made the source be asked again.
            #expect(source.asked.withLock { $0 } == [0])
        }
    }

    @Test func `a client that leaves ends the stream's work`() async throws {
        let source = Source()
        try await TestEdge.run(routes: [route(source)]) { server in
            var connection: RawConnection? = try await open(server)
            _ = try await blocking { [connection] in try connection?.read(until: ": stream\n\n") }
            connection = nil
            await source.ended.wait()
        }
    }

    @Test func `the drain ends streams with a hint when to come back`() async throws {
        let source = Source()
        try await TestEdge.run(routes: [route(source)]) { server in
            let connection = try await open(server)
            _ = try await blocking { try connection.read(until: ": stream\n\n") }
            await server.group.triggerGracefulShutdown()
            let rest = try await blocking { try connection.readToEnd() }
            #expect(rest.contains("retry: 1000\n\n"))
        }
    }

    @Test func `a stream ends when its caller's token expires`() async throws {
        let source = Source()
        try await TestEdge.run(routes: [route(source, access: .require(.taskRead))]) { server in
            // Expired a moment ago, and good by the leeway.
            let token = Mint.hs256(Mint.claims(expiresIn: -1))
            let connection = try await open(server, headers: "Authorization: Bearer \(token)\r\n")
            let text = try await blocking { try connection.readToEnd() }
            #expect(text.hasPrefix("HTTP/1.1 200") && text.contains("retry: 1000\n\n"))
        }
    }

    @Test func `a stream shows nothing more once its caller's token is revoked`() async throws {
        let source = Source()
        let isRevoked = Mutex(false)
        let route = route(source, access: .require(.taskRead))
        try await TestEdge.run(
            routes: [route], adjust: { edge in edge.isRevoked = { _ in isRevoked.withLock { $0 } } }
        ) { server in
            let connection = try await open(server, headers: "Authorization: Bearer \(Mint.hs256())\r\n")
            source.release(1)
            _ = try await blocking { try connection.read(until: "{\"n\":1}\n\n") }
            isRevoked.withLock { $0 = true }
            source.release(2)
            let rest = try await blocking { try connection.readToEnd() }
            #expect(rest.contains("retry: 1000\n\n") && !rest.contains("id: 2"), "\(rest)")
        }
    }

    @Test func `a source that fails ends the stream without its last chunk`() async throws {
        struct Broken: Error {}
        let route = Route(
            .get, "/stream", access: .open,
            operation: Operation(id: "stream", summary: "Stream.", tag: "t", answers: [])
        ) { request, context in
            EventStream { _ in throw Broken() }.response(to: request, context, after: 0)
        }
        try await TestEdge.run(routes: [route]) { server in
            let connection = try await open(server)
            let text = try await blocking { try connection.readToEnd() }
            #expect(!text.hasSuffix("0\r\n\r\n"))
            #expect(try await server.send("GET", "/health").status == 200)
        }
    }

    static let accepts: [(String?, Bool)] = [
        (nil, false), ("*/*", false), ("application/json", false), ("text/event-stream", true),
        ("text/event-stream, application/json;q=0.5", true), ("text/event-stream;q=0.1, application/json", false),
        ("text/event-stream;q=0", false), ("Text/Event-Stream", true), ("text/html, text/event-stream;q=0.9", true),
    ]

    @Test(arguments: accepts)
    func `a stream is for those who ask for one`(accept: String?, isStream: Bool) async throws {
        var head = HTTPRequest(method: .get, scheme: nil, authority: nil, path: "/")
        if let accept { head.headerFields[.accept] = accept }
        #expect(Request(head: head, body: RequestBody(buffer: ByteBuffer())).prefersEventStream == isStream)
    }

    @Test func `data of several lines stays one event`() async throws {
        let source = Source()
        source.release(1, last: 1)
        let route = Route(
            .get, "/stream", access: .open,
            operation: Operation(id: "stream", summary: "Stream.", tag: "t", answers: [])
        ) { request, context in
            EventStream { _ in EventPage(events: [ServerSentEvent(id: 1, name: "a", data: "x\ny\r\nz")], isLast: true) }
                .response(to: request, context, after: 0)
        }
        try await TestEdge.run(routes: [route]) { server in
            let connection = try await open(server)
            let text = try await blocking { try connection.readToEnd() }
            #expect(text.contains("id: 1\nevent: a\ndata: x\ndata: y\ndata: z\n\n"))
        }
    }
}
