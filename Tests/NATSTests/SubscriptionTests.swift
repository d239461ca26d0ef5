import NATS
import TestSupport
import Testing

extension NATSTests {
    @Suite struct SubscriptionTests {
        @Test(arguments: TestNATS.binaries)
        func `messages come in order, with wildcards and headers`(_ binary: String) async throws {
            try await withServer(binary) { connection, _ in
                let subscription = try connection.subscribe("alerts.*")
                for number in 0..<100 {
                    try connection.publish("alerts.high", headers: ["n": "\(number)"], payload: bytes("\(number)"))
                }
                try connection.publish("other", payload: [])
                let numbers = try await within(patience) {
                    var numbers: [Int] = []
                    for await message in subscription {
                        #expect(message.headers["n"] == text(message.payload))
                        numbers.append(Int(text(message.payload)) ?? -1)
                        if numbers.count == 100 { break }
                    }
                    return numbers
                }
                #expect(numbers == Array(0..<100))
                #expect(subscription.droppedCount == 0)
            }
        }

        @Test(arguments: TestNATS.binaries)
        func `a slow reader's overflow is counted and the oldest are kept`(_ binary: String) async throws {
            try await withServer(binary) { connection, _ in
                let subscription = try connection.subscribe("alerts", bufferCount: 10)
                let marker = try connection.subscribe("marker")
                for number in 0..<100 { try connection.publish("alerts", payload: bytes("\(number)")) }
                while subscription.droppedCount < 90 {
                    // Every marker that comes back was delivered after what was published before.
                    try connection.publish("marker", payload: [])
                    _ = try await within(patience) { await marker.first { _ in true } }
                }
                #expect(subscription.droppedCount == 90)
                subscription.cancel()
                var kept: [String] = []
                for await message in subscription { kept.append(text(message.payload)) }
                #expect(kept == (0..<10).map { "\($0)" })
            }
        }

        @Test(arguments: TestNATS.binaries)
        func `a queue group shares the messages`(_ binary: String) async throws {
            try await withServer(binary) { connection, _ in
                let members = [
                    try connection.subscribe("rpc.a", queue: "workers"),
                    try connection.subscribe("rpc.a", queue: "workers"),
                ]
                for number in 0..<200 { try connection.publish("rpc.a", payload: bytes("\(number)")) }
                let seen = Received()
                try await within(patience) {
                    await withTaskGroup(of: Void.self) { group in
                        for member in members {
                            group.addTask {
                                for await message in member {
                                    #expect(seen.insert(UInt64(text(message.payload)) ?? 0))
                                    if seen.count == 200 { members.forEach { $0.cancel() } }
                                }
                            }
                        }
                    }
                }
                #expect(seen.count == 200)
            }
        }

        @Test(arguments: TestNATS.binaries)
        func `it goes on after a reconnect`(_ binary: String) async throws {
            try await withServer(binary) { connection, server in
                let subscription = try connection.subscribe("alerts")
                server.kill()
                try await connection.waitUntilDisconnected()
                try server.start()
                try await connection.waitUntilConnected()
                try connection.publish("alerts", payload: bytes("after"))
                let message = try await within(patience) { await subscription.first { _ in true } }
                #expect(message?.payload == bytes("after"))
            }
        }

        @Test(arguments: TestNATS.binaries)
        func `malformed names never reach the server`(_ binary: String) async throws {
            try await withServer(binary) { connection, _ in
                let long = String(repeating: "a", count: 2000)
                for subject in ["", "a b", "a..b", ".a", "a.", "a\r\nPUB", "a.*", "a.>", long] {
                    #expect(await failure { try connection.publish(subject, payload: []) }.code == .invalidSubject)
                }
                for subject in ["", "a b", "a..b", "a.>.b", "a*", ">a"] {
                    #expect(await failure { _ = try connection.subscribe(subject) }.code == .invalidSubject)
                }
                #expect(await failure { _ = try connection.subscribe("a", queue: "a b") }.code == .invalidSubject)
                for name in ["", "a.b", "a b", "*", ">"] {
                    let pull = await failure {
                        _ = try connection.pullConsumer(stream: name, consumer: "c", capacity: 1)
                    }
                    #expect(pull.code == .invalidSubject)
                }
                for header in ["": "v", "a:b": "v", "a b": "v", "a": "v\r\nInjected: x"] {
                    let result = await failure {
                        try connection.publish("a", headers: [header.key: header.value], payload: [])
                    }
                    #expect(result.code == .invalidHeader)
                }
                let time = try await connection.roundTripTime()
                #expect(time > .zero)
            }
        }
    }
}
