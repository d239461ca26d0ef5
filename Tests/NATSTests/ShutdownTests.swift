import NATS
import TestSupport
import Testing

extension NATSTests {
    @Suite struct ShutdownTests {
        @Test(arguments: TestNATS.binaries)
        func `under load every call ends and all memory is released`(_ binary: String) async throws {
            let left = try await Self.loadAndShutDown(try TestNATS(binary))
            // The driver's threads let go within moments; nothing else may hold on.
            try await within(patience) {
                while left.contains(where: { $0.value != nil }) { try await Task.sleep(for: .milliseconds(5)) }
            }
        }

        private struct Left: Sendable {
            weak let value: (any AnyObject & Sendable)?
        }

        private static func loadAndShutDown(_ server: TestNATS) async throws -> [Left] {
            let connection = try await NATSConnection.connect(configuration(server), logger: quiet)
            try await connection.makeStream("WORK")
            let consumer = try connection.pullConsumer(stream: "WORK", consumer: "agents", capacity: 100)
            let subscription = try connection.subscribe("core")
            let stored = Received()
            try await within(patience) {
                try await withThrowingTaskGroup(of: Void.self) { group in
                    for _ in 0..<50 { group.addTask { await publishUntilRefused(connection, stored) } }
                    group.addTask { for await _ in subscription {} }
                    group.addTask { while try await !consumer.nextBatch(max: 10).isEmpty {} }
                    group.addTask {
                        while stored.count < 500 { try await Task.sleep(for: .milliseconds(1)) }
                        async let once: Void = connection.shutdown(within: .seconds(2))
                        async let twice: Void = connection.shutdown(within: .seconds(2))
                        _ = await (once, twice)
                    }
                    try await group.waitForAll()
                }
            }
            #expect(connection.state == .closed)
            let late = await failure { _ = try await connection.request("a", payload: []) }
            #expect(late.code == .closed)
            #expect(await failure { try connection.publish("a", payload: []) }.code == .closed)
            #expect(await failure { _ = try connection.subscribe("a") }.code == .closed)
            let rest = try await consumer.nextBatch(max: 1)
            #expect(rest.isEmpty)
            await connection.shutdown(within: .seconds(1))
            return [Left(value: connection), Left(value: consumer), Left(value: subscription)]
        }

        private static func publishUntilRefused(_ connection: NATSConnection, _ stored: Received) async {
            while true {
                do throws(NATSError) {
                    _ = stored.insert(try await connection.publishToStream("WORK.a", payload: bytes("x")).sequence)
                } catch {
                    #expect(error.code == .closed || error.code == .outcomeUnknown)
                    return
                }
            }
        }

        @Test(arguments: TestNATS.binaries)
        func `what was published just before is delivered`(_ binary: String) async throws {
            try await withServer(binary) { other, server in
                let subscription = try other.subscribe("core")
                _ = try await other.roundTripTime()
                let connection = try await NATSConnection.connect(configuration(server), logger: quiet)
                for number in 0..<1000 { try connection.publish("core", payload: bytes("\(number)")) }
                await connection.shutdown(within: .seconds(5))
                let count = try await within(patience) {
                    var count = 0
                    for await _ in subscription {
                        count += 1
                        if count == 1000 { break }
                    }
                    return count
                }
                #expect(count == 1000)
            }
        }

        /// A dial that is under way at the shutdown succeeds when all else is gone.
        @Test(arguments: TestNATS.binaries)
        func `a session that comes up after the shutdown is closed`(_ binary: String) async throws {
            let server = try TestNATS(binary)
            let left = try await Self.shutDownWhileDialling(server)
            server.resume()
            // An open session would hold it.
            try await within(patience) {
                while left.value != nil { try await Task.sleep(for: .milliseconds(5)) }
            }
        }

        private static func shutDownWhileDialling(_ server: TestNATS) async throws -> Left {
            var settings = configuration(server)
            settings.pingInterval = .milliseconds(200)
            settings.connectTimeout = .seconds(20)
            let connection = try await NATSConnection.connect(settings, logger: quiet)
            server.pause()
            try await connection.waitUntilDisconnected()
            // Longer than the wait before a dial. The kernel accepts it in the server's stead.
            try await Task.sleep(for: .milliseconds(500))
            await connection.shutdown(within: .milliseconds(100))
            #expect(connection.state == .closed)
            return Left(value: connection)
        }

        @Test(arguments: TestNATS.binaries)
        func `without a server it is quick`(_ binary: String) async throws {
            let server = try TestNATS(binary)
            let connection = try await NATSConnection.connect(configuration(server), logger: quiet)
            server.kill()
            try await connection.waitUntilDisconnected()
            let start = ContinuousClock.now
            await connection.shutdown(within: .seconds(10))
            #expect(start.duration(to: .now) < .seconds(4))
        }
    }
}
