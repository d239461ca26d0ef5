import NATS
import TestSupport
import Testing

extension NATSTests {
    /// A server that is stopped but keeps its sockets: the hardest failure to notice.
    @Suite struct PausedServerTests {
        @Test(arguments: TestNATS.binaries)
        func `every call ends within its timeout and works again afterwards`(_ binary: String) async throws {
            try await withServer(binary) { connection, server in
                try await connection.makeStream("WORK")
                let consumer = try connection.pullConsumer(stream: "WORK", consumer: "agents", capacity: 8)
                _ = try await connection.publishToStream("WORK.a", payload: bytes("one"))
                let delivery = try await consumer.next()
                server.pause()
                defer { server.resume() }
                let limit = Duration.milliseconds(400)
                let publish = await failure {
                    _ = try await connection.publishToStream("WORK.a", payload: [], messageID: "m", timeout: limit)
                }
                #expect(publish.code == .outcomeUnknown)
                let request = await failure { _ = try await connection.jetStream("STREAM.INFO.WORK", timeout: limit) }
                #expect(request.code == .timeout)
                let ping = await failure { _ = try await connection.roundTripTime(timeout: limit) }
                #expect(ping.code == .timeout)
                let ack = await failure { try await consumer.acknowledgeConfirmed(delivery, timeout: limit) }
                #expect(ack.code == .timeout)
                for result in [publish, request, ping, ack] { #expect(result.took < .seconds(3)) }
                #expect(try await consumer.nothing(for: limit))
                server.resume()
                // The paused server had it in its socket: the same id is stored once.
                let again = try await connection.publishToStream(
                    "WORK.a", payload: [], messageID: "m", timeout: patience
                )
                #expect(again.sequence == 2)
                #expect(try await consumer.next().streamSequence == 2)
            }
        }

        @Test(arguments: TestNATS.binaries)
        func `a full socket never blocks a caller, and all recovers`(_ binary: String) async throws {
            try await withServer(binary, adjust: { $0.writeTimeout = .seconds(3) }) { connection, server in
                try await connection.makeStream("WORK")
                let block = [UInt8](repeating: 7, count: 1 << 19)
                server.pause()
                defer { server.resume() }
                var refused: NATSError.Code?
                var slowest = Duration.zero
                for _ in 0..<200 where refused == nil {
                    let result = await failure { try connection.publish("core.big", payload: block) }
                    refused = result.code
                    slowest = max(slowest, result.took)
                }
                #expect(refused == .backlogFull)
                // Who waited for the socket would wait until it is given up.
                #expect(slowest < .seconds(2))
                // The write deadline gives the connection up; it comes back by itself once the server does.
                try await connection.waitUntilDisconnected()
                server.resume()
                try await connection.waitUntilConnected()
                let ack = try await connection.publishToStream("WORK.a", payload: bytes("after"), timeout: patience)
                #expect(ack.stream == "WORK")
            }
        }

        @Test(arguments: TestNATS.binaries)
        func `connecting to it is given up in time`(_ binary: String) async throws {
            let server = try TestNATS(binary)
            server.pause()
            defer { server.resume() }
            var settings = configuration(server)
            settings.connectTimeout = .milliseconds(500)
            let result = await failure { _ = try await NATSConnection.connect(settings, logger: quiet) }
            #expect(result.code == .connectFailed)
            #expect(result.took < .seconds(4))
        }

        @Test(arguments: TestNATS.binaries)
        func `cancellation ends a publish, a request and a pull at once`(_ binary: String) async throws {
            try await withServer(binary) { connection, server in
                try await connection.makeStream("WORK")
                let consumer = try connection.pullConsumer(stream: "WORK", consumer: "agents", capacity: 8)
                server.pause()
                defer { server.resume() }
                let publish = Task {
                    await failure {
                        _ = try await connection.publishToStream("WORK.a", payload: [], timeout: patience)
                    }
                }
                let request = Task {
                    await failure { _ = try await connection.request("a", payload: [], timeout: patience) }
                }
                let pull = Task { await failure { _ = try await consumer.nextBatch(max: 1) } }
                // Half-way: long enough that the publish is in the socket.
                try await Task.sleep(for: .milliseconds(300))
                for task in [publish, request, pull] { task.cancel() }
                #expect(await publish.value.code == .outcomeUnknown)
                #expect(await request.value.code == .cancelled)
                #expect(await pull.value.code == .cancelled)
                for task in [publish, request, pull] { #expect(await task.value.took < .seconds(5)) }
                let early = Task { await failure { _ = try await connection.request("a", payload: []) } }
                early.cancel()
                #expect(await early.value.code == .cancelled)
            }
        }

        @Test(arguments: TestNATS.binaries)
        func `shutting down does not wait for it`(_ binary: String) async throws {
            let server = try TestNATS(binary)
            let connection = try await NATSConnection.connect(configuration(server), logger: quiet)
            try await connection.makeStream("WORK")
            server.pause()
            defer { server.resume() }
            let publish = Task { await failure { _ = try await connection.publishToStream("WORK.a", payload: []) } }
            try await Task.sleep(for: .milliseconds(300))
            let start = ContinuousClock.now
            await connection.shutdown(within: .milliseconds(500))
            #expect(start.duration(to: .now) < .seconds(5))
            #expect(await publish.value.code == .outcomeUnknown)
        }
    }
}
