import NATS
import TestSupport
import Testing

extension NATSTests {
    @Suite struct StressTests {
        @Test(arguments: TestNATS.binaries)
        func `50,000 messages through two consumers are each received once`(_ binary: String) async throws {
            try await withServer(binary) { connection, server in
                let total = 50_000
                try await connection.makeStream("WORK", retention: "workqueue", ackWait: .seconds(60))
                let start = ContinuousClock.now
                let seen = Received()
                let others = try await NATSConnection.connect(configuration(server), logger: quiet)
                try await within(.seconds(180)) {
                    try await withThrowingTaskGroup(of: Void.self) { group in
                        for worker in 0..<100 {
                            group.addTask {
                                for number in 0..<(total / 100) {
                                    let id = "\(worker)-\(number)"
                                    _ = try await connection.publishToStream(
                                        "WORK.a", payload: bytes(id), messageID: id, timeout: patience
                                    )
                                }
                            }
                        }
                        let consumers = [
                            try connection.pullConsumer(stream: "WORK", consumer: "agents", capacity: 500),
                            try others.pullConsumer(stream: "WORK", consumer: "agents", capacity: 500),
                        ]
                        for consumer in consumers {
                            group.addTask {
                                while true {
                                    let batch = try await consumer.nextBatch(max: 100)
                                    if batch.isEmpty { return }
                                    for delivery in batch { #expect(seen.insert(delivery.streamSequence)) }
                                    try consumer.acknowledge(batch)
                                    if seen.count == total { consumers.forEach { $0.close() } }
                                }
                            }
                        }
                        try await group.waitForAll()
                    }
                }
                #expect(seen.count == total)
                await others.shutdown(within: .seconds(5))
                _ = try await connection.roundTripTime()
                let info = text(try await connection.jetStream("STREAM.INFO.WORK"))
                #expect(info.contains("\"messages\":0,"))
                print("50,000 messages published and consumed:", start.duration(to: .now))
            }
        }
    }
}
