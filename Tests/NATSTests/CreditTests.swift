import NATS
import TestSupport
import Testing

extension NATSTests {
    @Suite struct CreditTests {
        @Test(arguments: TestNATS.binaries)
        func `a busy agent takes nothing that an idle one could do`(_ binary: String) async throws {
            try await withServer(binary) { connection, _ in
                try await connection.makeStream("WORK", retention: "workqueue")
                let one = try connection.pullConsumer(
                    stream: "WORK", consumer: "agents", capacity: 1, holdCreditsUntilSettled: true
                )
                _ = try await connection.publishToStream("WORK.a", payload: bytes("1"))
                let held = try await one.next()
                #expect(one.credits == (requested: 0, buffered: 0, held: 1))
                let two = try connection.pullConsumer(
                    stream: "WORK", consumer: "agents", capacity: 2, holdCreditsUntilSettled: true
                )
                for number in 2...3 { _ = try await connection.publishToStream("WORK.a", payload: bytes("\(number)")) }
                let others = [try await two.next(), try await two.next()]
                #expect(Set(others.map { text($0.message.payload) }) == ["2", "3"])
                // Both are full: the fourth waits at the server until someone settles.
                _ = try await connection.publishToStream("WORK.a", payload: bytes("4"))
                #expect(try await one.nothing(for: .milliseconds(300)))
                #expect(try await two.nothing(for: .milliseconds(300)))
                try one.extend(held)
                #expect(one.credits.held == 1)
                try one.acknowledge(held)
                #expect(text(try await one.next().message.payload) == "4")
            }
        }

        @Test(arguments: TestNATS.binaries)
        func `settling twice, and every way of settling, frees exactly one credit`(_ binary: String) async throws {
            try await withServer(binary) { connection, _ in
                try await connection.makeStream("WORK")
                let consumer = try connection.pullConsumer(
                    stream: "WORK", consumer: "agents", capacity: 5, holdCreditsUntilSettled: true
                )
                for number in 0..<5 { _ = try await connection.publishToStream("WORK.a", payload: bytes("\(number)")) }
                var taken: [Delivery] = []
                while taken.count < 5 { taken += try await consumer.nextBatch(max: 5) }
                #expect(consumer.credits.held == 5)
                try consumer.acknowledge(taken[0])
                try consumer.acknowledge(taken[0])
                try consumer.reject(taken[0])
                #expect(consumer.credits.held == 4)
                try consumer.terminate(taken[1])
                try await consumer.acknowledgeConfirmed(taken[2])
                consumer.abandon(taken[3])
                #expect(consumer.credits.held == 1)
                try consumer.reject(taken[4], delay: .seconds(60))
                #expect(consumer.credits.held == 0)
            }
        }

        @Test(arguments: TestNATS.binaries)
        func `requests that expire at the server give their credits back exactly`(_ binary: String) async throws {
            try await withServer(binary) { connection, _ in
                try await connection.makeStream("WORK", retention: "workqueue")
                let consumer = try connection.pullConsumer(
                    stream: "WORK", consumer: "agents", capacity: 5, idleHeartbeat: .milliseconds(200),
                    requestExpires: .seconds(1), holdCreditsUntilSettled: true
                )
                for number in 0..<2 { _ = try await connection.publishToStream("WORK.a", payload: bytes("\(number)")) }
                let held = [try await consumer.next(), try await consumer.next()]
                // Several requests expire, partly delivered and not at all.
                for _ in 0..<30 {
                    #expect(try await consumer.nothing(for: .milliseconds(100)))
                    let credits = consumer.credits
                    #expect(credits.requested + credits.buffered + credits.held <= 5)
                    #expect(credits.requested <= 3)
                }
                #expect(consumer.problemCount == 0)
                for number in 2..<8 { _ = try await connection.publishToStream("WORK.a", payload: bytes("\(number)")) }
                var more: [Delivery] = []
                while more.count < 3 { more.append(try await consumer.next()) }
                #expect(try await consumer.nothing(for: .milliseconds(300)))
                try consumer.acknowledge(held + more)
                for _ in 0..<3 { #expect(try await consumer.next().deliveryCount == 1) }
            }
        }

        @Test(arguments: TestNATS.binaries)
        func `a message that looks like a word of the server is delivered, and its credit comes back`(
            _ binary: String
        ) async throws {
            try await withServer(binary) { connection, _ in
                try await connection.makeStream("WORK", retention: "workqueue")
                let consumer = try connection.pullConsumer(
                    stream: "WORK", consumer: "agents", capacity: 1, holdCreditsUntilSettled: true
                )
                for status in ["100", "404", "408", "409", "503"] {
                    _ = try await connection.publishToStream("WORK.a", headers: ["Status": status], payload: [])
                    let delivery = try await consumer.next()
                    #expect(delivery.message.headers == ["Status": status] && delivery.deliveryCount == 1)
                    #expect(consumer.credits == (requested: 0, buffered: 0, held: 1))
                    try await consumer.acknowledgeConfirmed(delivery)
                    #expect(consumer.credits.held == 0)
                }
                _ = try await connection.publishToStream("WORK.a", payload: bytes("next"))
                #expect(text(try await consumer.next().message.payload) == "next")
                #expect(consumer.problemCount == 0)
            }
        }

        @Test(arguments: TestNATS.binaries)
        func `the sum of credits never exceeds the capacity while agents work`(_ binary: String) async throws {
            try await withServer(binary) { connection, _ in
                try await connection.makeStream("WORK", retention: "workqueue")
                let total = 3000
                try await withThrowingTaskGroup(of: Void.self) { group in
                    for number in 0..<total {
                        group.addTask {
                            let payload = bytes("\(number)")
                            _ = try await connection.publishToStream("WORK.a", payload: payload, timeout: patience)
                        }
                    }
                    try await group.waitForAll()
                }
                let done = Received()
                try await within(.seconds(60)) {
                    try await withThrowingTaskGroup(of: Void.self) { group in
                        for agent in 0..<4 {
                            let consumer = try connection.pullConsumer(
                                stream: "WORK", consumer: "agents", capacity: agent + 1, holdCreditsUntilSettled: true
                            )
                            group.addTask { try await Self.work(consumer, capacity: agent + 1, done, total) }
                        }
                        try await group.waitForAll()
                    }
                }
                #expect(done.count == total)
            }
        }

        private static func work(
            _ consumer: PullConsumer, capacity: Int, _ done: Received, _ total: Int
        ) async throws {
            while done.count < total {
                guard let batch = try await consumer.some(within: .seconds(1)) else { continue }
                let credits = consumer.credits
                #expect(credits.requested + credits.buffered + credits.held <= capacity)
                #expect(batch.count <= capacity)
                for delivery in batch {
                    let isNew = done.insert(delivery.streamSequence)
                    #expect(isNew)
                    try consumer.acknowledge(delivery)
                }
            }
        }
    }
}
