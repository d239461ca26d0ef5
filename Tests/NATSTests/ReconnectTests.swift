import NATS
import Synchronization
import TestSupport
import Testing

extension NATSTests {
    @Suite struct ReconnectTests {
        @Test(arguments: TestNATS.binaries)
        func `nothing acknowledged is lost when the server is killed under traffic`(_ binary: String) async throws {
            try await withServer(binary) { connection, server in
                try await connection.makeStream("WORK", ackWait: .seconds(2))
                let stored = Received()
                let seen = Received()
                let total = 3000
                try await within(.seconds(90)) {
                    try await withThrowingTaskGroup(of: Void.self) { group in
                        for publisher in 0..<6 {
                            group.addTask {
                                for number in 0..<(total / 6) {
                                    let id = publisher * total + number
                                    _ = stored.insert(try await Self.publishUntilStored(connection, id))
                                }
                            }
                        }
                        group.addTask { try await Self.consume(connection, seen, until: total) }
                        group.addTask {
                            for mark in [total / 5, total / 2] {
                                while stored.count < mark { try await Task.sleep(for: .milliseconds(1)) }
                                server.kill()
                                try server.start()
                            }
                        }
                        try await group.waitForAll()
                    }
                }
                #expect(stored.count == total)
                #expect(stored.isSubset(of: seen))
            }
        }

        /// What a publisher has to do: try again with the same id until the stream has it.
        private static func publishUntilStored(_ connection: NATSConnection, _ id: Int) async throws -> UInt64 {
            while true {
                do throws(NATSError) {
                    let ack = try await connection.publishToStream(
                        "WORK.a", payload: bytes("\(id)"), messageID: "m\(id)", timeout: .seconds(2)
                    )
                    return ack.sequence
                } catch {
                    // A server that has just started answers before JetStream is ready.
                    let passing: Set<NATSError.Code> = [
                        .outcomeUnknown, .disconnected, .timeout, .noResponders, .jetStream,
                    ]
                    guard passing.contains(error.code) else { throw error }
                    try await Task.sleep(for: .milliseconds(20))
                }
            }
        }

        private static func consume(_ connection: NATSConnection, _ seen: Received, until total: Int) async throws {
            let consumer = try connection.pullConsumer(
                stream: "WORK", consumer: "agents", capacity: 100, idleHeartbeat: .seconds(1)
            )
            while seen.count < total {
                let batch = try await consumer.nextBatch(max: 50)
                for delivery in batch { _ = seen.insert(delivery.streamSequence) }
                try consumer.acknowledge(batch)
            }
        }

        @Test(arguments: TestNATS.binaries)
        func `after the store was wiped, publishers and consumers say so and recover`(_ binary: String) async throws {
            try await withServer(binary) { connection, server in
                try await connection.makeStream("WORK")
                let consumer = try connection.pullConsumer(
                    stream: "WORK", consumer: "agents", capacity: 8, idleHeartbeat: .seconds(1)
                )
                _ = try await connection.publishToStream("WORK.a", payload: bytes("before"))
                try await consumer.acknowledgeConfirmed(try await consumer.next())
                server.kill()
                try server.wipeStore()
                try await connection.waitUntilDisconnected()
                try server.start()
                try await connection.waitUntilConnected()
                let result = await failure { _ = try await connection.publishToStream("WORK.a", payload: []) }
                #expect(result.code == .noResponders)
                _ = try await within(patience) { await consumer.problemReports.first { _ in true } }
                #expect(consumer.problem?.message.contains("WORK") == true)
                try await connection.makeStream("WORK")
                consumer.restart()
                _ = try await connection.publishToStream("WORK.a", payload: bytes("after"))
                #expect(text(try await consumer.next().message.payload) == "after")
                #expect(consumer.problem == nil)
            }
        }

        @Test(arguments: TestNATS.binaries)
        func `what is published while the server is down is sent when it is back`(_ binary: String) async throws {
            try await withServer(binary) { connection, server in
                try await connection.makeStream("WORK")
                let subscription = try connection.subscribe("core.*")
                server.terminate()
                try await connection.waitUntilDisconnected()
                try connection.publish("core.a", payload: bytes("kept"))
                async let ack = connection.publishToStream("WORK.a", payload: bytes("kept"), timeout: patience)
                try server.start()
                #expect(try await ack.sequence == 1)
                let message = try await within(patience) { await subscription.first { _ in true } }
                #expect(message?.payload == bytes("kept"))
            }
        }

        @Test(arguments: TestNATS.binaries)
        func `without a server every call ends in time and says that nothing was sent`(_ binary: String) async throws {
            try await withServer(binary, adjust: { $0.maxQueuedMessages = 10 }) { connection, server in
                server.kill()
                try await connection.waitUntilDisconnected()
                let publish = await failure {
                    _ = try await connection.publishToStream("WORK.a", payload: [], timeout: .milliseconds(300))
                }
                #expect(publish.code == .disconnected)
                #expect(publish.took < .seconds(3))
                let request = await failure {
                    _ = try await connection.request("a", payload: [], timeout: .milliseconds(300))
                }
                #expect(request.code == .disconnected)
                let ping = await failure { _ = try await connection.roundTripTime() }
                #expect(ping.code == .disconnected)
                // The calls have ended and left the queue: all of its room is there for core messages.
                var codes: [NATSError.Code] = []
                for _ in 0..<20 {
                    let result = await failure { try connection.publish("a", payload: []) }
                    if let code = result.code { codes.append(code) }
                }
                #expect(codes == Array(repeating: .backlogFull, count: 10))
            }
        }

        @Test(arguments: TestNATS.binaries)
        func `publishes that end while the server is away leave the queue`(_ binary: String) async throws {
            let bytesMax = 1 << 16
            let adjust: (inout NATSConfiguration) -> Void = {
                $0.maxPendingPublishes = 16
                $0.maxQueuedMessages = 16
                $0.maxQueuedBytes = bytesMax
            }
            try await withServer(binary, adjust: adjust) { connection, server in
                try await connection.makeStream("WORK")
                server.kill()
                try await connection.waitUntilDisconnected()
                let kilobyte = [UInt8](repeating: 7, count: 1 << 10)
                // What a relay does: the same again, round after round, and together far beyond the bounds.
                let messages = (0..<64).map {
                    StreamMessage(subject: "WORK.a", payload: kilobyte, messageID: "m-\($0)")
                }
                for _ in 0..<10 {
                    let results = await connection.publishToStream(messages, timeout: .milliseconds(20))
                    for result in results {
                        guard case .failure(let error) = result else {
                            Issue.record("It was stored.")
                            continue
                        }
                        #expect(error.code == .disconnected)
                    }
                }
                // A single one that fills the queue finds it empty.
                try connection.publish("core.a", payload: [UInt8](repeating: 7, count: bytesMax))
                try server.start()
                #expect(try await Self.publishUntilStored(connection, 1) == 1)
            }
        }

        @Test(arguments: TestNATS.binaries)
        func `state changes are told in order`(_ binary: String) async throws {
            try await withServer(binary) { connection, server in
                let states = connection.stateChanges()
                server.kill()
                try await connection.waitUntilDisconnected()
                try server.start()
                try await connection.waitUntilConnected()
                await connection.shutdown(within: .seconds(1))
                var told: [String] = []
                for await state in states {
                    switch state {
                    case .connected(_, let count): told.append("connected \(count)")
                    case .disconnected: told.append("disconnected")
                    case .closed: told.append("closed")
                    }
                }
                #expect(told == ["connected 0", "disconnected", "connected 1", "closed"])
            }
        }
    }
}
