import NATS
import TestSupport
import Testing

extension NATSTests {
    @Suite struct PullConsumerTests {
        @Test(arguments: TestNATS.binaries)
        func `a message is delivered with all that the server tells`(_ binary: String) async throws {
            try await withServer(binary) { connection, _ in
                try await connection.makeStream("WORK")
                _ = try await connection.publishToStream("WORK.a", headers: ["h": "1"], payload: bytes("one"))
                let consumer = try connection.pullConsumer(stream: "WORK", consumer: "agents", capacity: 4)
                let delivery = try await consumer.next()
                #expect(delivery.message.subject == "WORK.a")
                #expect(delivery.message.headers == ["h": "1"])
                #expect(delivery.message.payload == bytes("one"))
                #expect(delivery.stream == "WORK")
                #expect(delivery.consumer == "agents")
                #expect(delivery.streamSequence == 1)
                #expect(delivery.consumerSequence == 1)
                #expect(delivery.deliveryCount == 1)
                #expect(delivery.pending == 0)
                #expect(delivery.timestampNanoseconds > 1_600_000_000_000_000_000)
                try await consumer.acknowledgeConfirmed(delivery)
            }
        }

        @Test(arguments: TestNATS.binaries)
        func `an acknowledged message leaves a work queue and is not delivered again`(_ binary: String) async throws {
            try await withServer(binary) { connection, _ in
                try await connection.makeStream("WORK", retention: "workqueue", ackWait: .milliseconds(1500))
                let consumer = try connection.pullConsumer(stream: "WORK", consumer: "agents", capacity: 4)
                _ = try await connection.publishToStream("WORK.a", payload: bytes("one"))
                try await consumer.acknowledgeConfirmed(try await consumer.next())
                let info = text(try await connection.jetStream("STREAM.INFO.WORK"))
                #expect(info.contains("\"messages\":0,"))
                let again = try await consumer.nothing(for: .seconds(2))
                #expect(again)
            }
        }

        @Test(arguments: TestNATS.binaries)
        func `a rejected message comes again after its delay`(_ binary: String) async throws {
            try await withServer(binary) { connection, _ in
                try await connection.makeStream("WORK")
                let consumer = try connection.pullConsumer(stream: "WORK", consumer: "agents", capacity: 4)
                _ = try await connection.publishToStream("WORK.a", payload: bytes("one"))
                let first = try await consumer.next()
                let start = ContinuousClock.now
                try consumer.reject(first, delay: .milliseconds(700))
                let second = try await consumer.next()
                #expect(start.duration(to: .now) >= .milliseconds(650))
                #expect(start.duration(to: .now) < .seconds(15))
                #expect(second.deliveryCount == 2)
                #expect(second.streamSequence == first.streamSequence)
                try consumer.reject(second)
                #expect(try await consumer.next().deliveryCount == 3)
            }
        }

        @Test(arguments: TestNATS.binaries)
        func `a terminated message never comes again`(_ binary: String) async throws {
            try await withServer(binary) { connection, _ in
                try await connection.makeStream("WORK", ackWait: .milliseconds(1500))
                let consumer = try connection.pullConsumer(stream: "WORK", consumer: "agents", capacity: 4)
                _ = try await connection.publishToStream("WORK.a", payload: bytes("one"))
                try consumer.terminate(try await consumer.next())
                #expect(try await consumer.nothing(for: .seconds(2)))
            }
        }

        @Test(arguments: TestNATS.binaries)
        func `an unsettled message comes again after AckWait, unless it is extended`(_ binary: String) async throws {
            try await withServer(binary) { connection, _ in
                try await connection.makeStream("WORK", ackWait: .seconds(2))
                let consumer = try connection.pullConsumer(stream: "WORK", consumer: "agents", capacity: 4)
                _ = try await connection.publishToStream("WORK.a", payload: bytes("one"))
                let first = try await consumer.next()
                let start = ContinuousClock.now
                for _ in 0..<12 {
                    try consumer.extend(first)
                    #expect(try await consumer.nothing(for: .milliseconds(250)))
                }
                let second = try await consumer.next()
                #expect(start.duration(to: .now) > .seconds(4))
                #expect(second.deliveryCount == 2)
            }
        }

        @Test(arguments: TestNATS.binaries)
        func `cancelling nextBatch loses nothing`(_ binary: String) async throws {
            try await withServer(binary) { connection, _ in
                try await connection.makeStream("WORK")
                let consumer = try connection.pullConsumer(stream: "WORK", consumer: "agents", capacity: 4)
                let waiting = Task { await failure { _ = try await consumer.nextBatch(max: 1) } }
                // Cancelled before or while it waits: both must end it.
                waiting.cancel()
                #expect(await waiting.value.code == .cancelled)
                #expect(try await consumer.nothing(for: .milliseconds(100)))
                _ = try await connection.publishToStream("WORK.a", payload: bytes("one"))
                let delivery = try await consumer.next()
                #expect(delivery.message.payload == bytes("one"))
                #expect(delivery.deliveryCount == 1)
            }
        }

        @Test(arguments: TestNATS.binaries)
        func `a closed consumer hands back what it had buffered`(_ binary: String) async throws {
            try await withServer(binary) { connection, _ in
                try await connection.makeStream("WORK", ackWait: .seconds(60))
                for number in 0..<10 { _ = try await connection.publishToStream("WORK.a", payload: bytes("\(number)")) }
                let first = try connection.pullConsumer(stream: "WORK", consumer: "agents", capacity: 10)
                let taken = try await first.next()
                first.close()
                #expect(try await first.nextBatch(max: 1).isEmpty)
                try await first.acknowledgeConfirmed(taken)
                let second = try connection.pullConsumer(stream: "WORK", consumer: "agents", capacity: 10)
                let rest = try await within(patience) {
                    var rest: Set<UInt64> = []
                    while rest.count < 9 {
                        for delivery in try await second.nextBatch(max: 10) {
                            rest.insert(delivery.streamSequence)
                            try second.acknowledge(delivery)
                        }
                    }
                    return rest
                }
                #expect(!rest.contains(taken.streamSequence))
            }
        }

        @Test(arguments: TestNATS.binaries)
        func `a consumer created before its stream says so and starts when it exists`(_ binary: String) async throws {
            try await withServer(binary) { connection, _ in
                let consumer = try connection.pullConsumer(stream: "WORK", consumer: "agents", capacity: 4)
                let start = ContinuousClock.now
                let report = try await within(patience) { await consumer.problemReports.first { _ in true } }
                #expect(report?.code == .jetStream)
                #expect(consumer.problem != nil)
                #expect(consumer.problemCount > 0)
                // It was asked, not found out by missing heartbeats.
                #expect(start.duration(to: .now) < .seconds(5))
                try await connection.makeStream("WORK")
                _ = try await connection.publishToStream("WORK.a", payload: bytes("one"))
                #expect(try await consumer.next().message.payload == bytes("one"))
                #expect(consumer.problem == nil)
            }
        }

        @Test(arguments: TestNATS.binaries)
        func `a deleted consumer says so and goes on when it is re-created`(_ binary: String) async throws {
            try await withServer(binary) { connection, _ in
                try await connection.makeStream("WORK")
                let consumer = try connection.pullConsumer(stream: "WORK", consumer: "agents", capacity: 4)
                _ = try await connection.publishToStream("WORK.a", payload: bytes("one"))
                try await consumer.acknowledgeConfirmed(try await consumer.next())
                _ = try await connection.jetStream("CONSUMER.DELETE.WORK.agents")
                _ = try await within(patience) { await consumer.problemReports.first { _ in true } }
                try await connection.makeConsumer(of: "WORK")
                consumer.restart()
                _ = try await connection.publishToStream("WORK.a", payload: bytes("two"))
                var seen: [String] = []
                while !seen.contains("two") { seen.append(text(try await consumer.next().message.payload)) }
            }
        }

        @Test(arguments: TestNATS.binaries)
        func `a word about a message of a lost stream is not taken for one about its successor`(
            _ binary: String
        ) async throws {
            try await withServer(binary) { connection, server in
                try await connection.makeStream("WORK")
                let consumer = try connection.pullConsumer(stream: "WORK", consumer: "agents", capacity: 4)
                _ = try await connection.publishToStream("WORK.a", payload: bytes("lost"))
                let lost = try await consumer.next()
                _ = try await connection.jetStream("STREAM.DELETE.WORK")
                _ = try await within(patience) { await consumer.problemReports.first { _ in true } }
                // Before 2.10 nats-server removes a stream's files after its name.
                if !server.log.contains(/Version: +2\.[1-9][0-9]/) { try await Task.sleep(for: .seconds(2)) }
                try await connection.makeStream("WORK")
                consumer.restart()
                // Nothing is there to be taken for it yet.
                try await within(patience) {
                    while await failure({ try await consumer.acknowledgeConfirmed(lost) }).code != .jetStream {
                        try await Task.sleep(for: .milliseconds(20))
                    }
                }
                _ = try await connection.publishToStream("WORK.a", payload: bytes("new"))
                let new = try await consumer.next()
                #expect(new.streamSequence == lost.streamSequence)
                try consumer.acknowledge(lost)
                try consumer.terminate(lost)
                try consumer.reject(new)
                let again = try await consumer.next()
                #expect(text(again.message.payload) == "new")
                try await consumer.acknowledgeConfirmed(again)
            }
        }
    }
}
