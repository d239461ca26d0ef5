internal import Contracts
internal import Foundation
internal import HTTPEdge
internal import HTTPTypes
internal import Hummingbird
internal import ServiceLifecycle
internal import TestSupport
import Testing

/// Clients that are slow, silent, or too many; and the server's end.
@Suite(.timeLimit(.minutes(5))) struct ConnectionTests {
    private func configuration(_ change: (inout EdgeServerConfiguration) -> Void) -> EdgeServerConfiguration {
        var configuration = EdgeServerConfiguration(port: 0)
        change(&configuration)
        return configuration
    }

    @Test(arguments: [
        "BREW /pot HTTP/1.1\r\nHost: t\r\n\r\n", "no words of HTTP\r\n\r\n", "GET /health HTTP/1.1\r\nno colon\r\n\r\n",
    ])
    func `what is not HTTP gets a problem and the end of its connection`(_ text: String) async throws {
        try await TestEdge.run { server in
            let answer = try await blocking {
                let connection = try RawConnection(port: server.port)
                try connection.send(text)
                return try connection.readToEnd()
            }
            #expect(answer.hasPrefix("HTTP/1.1 400 Bad Request\r\n"))
            #expect(answer.lowercased().contains("content-type: application/problem+json\r\n"))
            #expect(answer.contains("\"code\":\"request_malformed\""))
        }
    }

    @Test func `a connection that says nothing is closed`() async throws {
        try await TestEdge.run(server: configuration { $0.idleTimeout = .milliseconds(300) }) { server in
            let answer = try await blocking { try RawConnection(port: server.port).readToEnd() }
            #expect(answer.isEmpty)
        }
    }

    @Test func `a head that never ends is cut off, however it dribbles`() async throws {
        try await TestEdge.run(server: configuration { $0.idleTimeout = .milliseconds(500) }) { server in
            let wasCut = try await blocking {
                let connection = try RawConnection(port: server.port)
                try connection.send("GET /health HTTP/1.1\r\n")
                do {
                    for number in 0..<100 {
                        try connection.send("X-\(number): 1\r\n")
                        usleep(50_000)
                    }
                    return false
                } catch is RawConnection.Closed { return true }
            }
            #expect(wasCut)
        }
    }

    @Test func `a body that never ends is cut off, however it dribbles`() async throws {
        try await TestEdge.run(server: configuration { $0.requestTimeout = .milliseconds(500) }) { server in
            let wasCut = try await blocking {
                let connection = try RawConnection(port: server.port)
                try connection.send(
                    "POST /things HTTP/1.1\r\nHost: t\r\nContent-Type: application/json\r\n"
                        + "Authorization: Bearer \(Mint.hs256())\r\nContent-Length: 1000\r\n\r\n"
                )
                do {
                    for _ in 0..<100 {
                        try connection.send(" ")
                        usleep(50_000)
                    }
                    return false
                } catch is RawConnection.Closed { return true }
            }
            #expect(wasCut)
            #expect(try await server.send("GET", "/health").status == 200)
        }
    }

    @Test func `a request that is answered slowly is not a slow client`() async throws {
        let slow = Route(
            .get, "/slow", access: .open,
            operation: Operation(id: "slow", summary: "Slow.", tag: "t", answers: [])
        ) { _, _ in
            try await Task.sleep(for: .seconds(5))
            return .json(.emptyObject)
        }
        let times = configuration {
            // They bound the request's head and body, too.
            $0.idleTimeout = .seconds(2)
            $0.requestTimeout = .seconds(2)
        }
        try await TestEdge.run(server: times, routes: [slow]) { server in
            let answer = try await server.send("GET", "/slow")
            #expect(answer.status == 200)
        }
    }

    @Test func `a client that does not read its answer is cut off`() async throws {
        let (cut, source) = AsyncStream<Void>.makeStream()
        let endless = Route(
            .get, "/endless", access: .open,
            operation: Operation(id: "endless", summary: "Endless.", tag: "t", answers: [])
        ) { _, _ in
            Response(
                status: .ok,
                body: ResponseBody { writer in
                    defer { source.finish() }
                    let chunk = ByteBuffer(repeating: 0x78, count: 1 << 20)
                    while true { try await writer.write(chunk) }
                }
            )
        }
        try await TestEdge.run(server: configuration { $0.writeTimeout = .milliseconds(500) }, routes: [endless]) {
            server in
            let connection = try await blocking {
                let connection = try RawConnection(port: server.port)
                try connection.send("GET /endless HTTP/1.1\r\nHost: t\r\n\r\n")
                return connection
            }
            for await _ in cut {}
            _ = connection
        }
    }

    @Test func `connections beyond the limit wait until one is free`() async throws {
        try await TestEdge.run(server: configuration { $0.connectionsMax = 1 }) { server in
            try await blocking {
                var first: RawConnection? = try RawConnection(port: server.port)
                try first?.send("GET /health HTTP/1.1\r\nHost: t\r\n\r\n")
                #expect(try first?.readAnswer().status == 200)
                let second = try RawConnection(port: server.port, patience: 1)
                try second.send("GET /health HTTP/1.1\r\nHost: t\r\n\r\n")
                #expect(throws: RawConnection.TimedOut.self) { try second.readAnswer() }
                first = nil
                second.wait(atMost: 10)
                #expect(try second.readAnswer().status == 200)
            }
        }
    }

    @Test func `a request in flight is finished during the drain, and nothing new is accepted`() async throws {
        let (entered, entering) = AsyncStream<Void>.makeStream()
        let (released, releasing) = AsyncStream<Void>.makeStream()
        let held = Route(
            .get, "/held", access: .open,
            operation: Operation(id: "held", summary: "Held.", tag: "t", answers: [])
        ) { _, _ in
            entering.yield()
            for await _ in released { break }
            return .json(.emptyObject)
        }
        try await TestEdge.run(routes: [held]) { server in
            try await withThrowingTaskGroup(of: Int.self) { group in
                group.addTask { try await server.send("GET", "/held").status }
                for await _ in entered { break }
                await server.group.triggerGracefulShutdown()
                await server.edge.drain.wait()
                try await blocking {
                    let end = Date().addingTimeInterval(5)
                    while accepts(port: server.port), Date() < end { usleep(10_000) }
                    #expect(!accepts(port: server.port))
                }
                releasing.yield()
                #expect(try await group.next() == 200)
            }
        }
    }

    @Test func `what does not finish within the drain timeout is ended`() async throws {
        let (entered, entering) = AsyncStream<Void>.makeStream()
        let stuck = Route(
            .get, "/stuck", access: .open,
            operation: Operation(id: "stuck", summary: "Stuck.", tag: "t", answers: [])
        ) { _, _ in
            entering.yield()
            try await Task.sleep(for: .seconds(60))
            return .json(.emptyObject)
        }
        let start = ContinuousClock.now
        try await TestEdge.run(server: configuration { $0.drainTimeout = .milliseconds(300) }, routes: [stuck]) {
            server in
            try await blocking {
                let connection = try RawConnection(port: server.port)
                try connection.send("GET /stuck HTTP/1.1\r\nHost: t\r\n\r\n")
                return connection
            }.keptOpen {
                for await _ in entered { break }
                await server.group.triggerGracefulShutdown()
            }
        }
        #expect(ContinuousClock.now - start < .seconds(20))
    }
}

extension RawConnection {
    fileprivate func keptOpen(_ body: () async throws -> Void) async throws {
        try await body()
        withExtendedLifetime(self) {}
    }
}
