import NATS
import TestSupport
import Testing

extension NATSTests {
    @Suite struct PublishTests {
        @Test(arguments: TestNATS.binaries)
        func `a published message is stored and acknowledged`(_ binary: String) async throws {
            try await withServer(binary) { connection, _ in
                try await connection.makeStream("WORK")
                let first = try await connection.publishToStream("WORK.a", headers: ["k": "v"], payload: bytes("1"))
                let second = try await connection.publishToStream("WORK.a", payload: bytes("2"))
                #expect(first == StreamAck(stream: "WORK", sequence: 1, duplicate: false))
                #expect(second.sequence == 2)
            }
        }

        @Test(arguments: TestNATS.binaries)
        func `the same message id is stored once`(_ binary: String) async throws {
            try await withServer(binary) { connection, _ in
                try await connection.makeStream("WORK")
                let first = try await connection.publishToStream("WORK.a", payload: bytes("1"), messageID: "m-1")
                let again = try await connection.publishToStream("WORK.a", payload: bytes("1"), messageID: "m-1")
                #expect(!first.duplicate)
                #expect(again.duplicate)
                #expect(again.sequence == first.sequence)
            }
        }

        @Test(arguments: TestNATS.binaries)
        func `a subject without a stream has no responders`(_ binary: String) async throws {
            try await withServer(binary) { connection, _ in
                let result = await failure { _ = try await connection.publishToStream("nowhere", payload: bytes("1")) }
                #expect(result.code == .noResponders)
                #expect(result.took < .seconds(2))
            }
        }

        @Test(arguments: TestNATS.binaries)
        func `the wrong stream refuses with JetStream's code`(_ binary: String) async throws {
            try await withServer(binary) { connection, _ in
                try await connection.makeStream("WORK")
                do throws(NATSError) {
                    _ = try await connection.publishToStream("WORK.a", payload: [], expectedStream: "OTHER")
                    Issue.record("It was stored.")
                } catch {
                    #expect(error.code == .jetStream)
                    #expect(error.jetStreamCode == 10060)
                }
            }
        }

        @Test(arguments: TestNATS.binaries)
        func `concurrent publishers beyond the bound are all acknowledged`(_ binary: String) async throws {
            try await withServer(binary, adjust: { $0.maxPendingPublishes = 64 }) { connection, _ in
                try await connection.makeStream("WORK")
                let start = ContinuousClock.now
                let sequences = try await withThrowingTaskGroup(of: UInt64.self) { group in
                    for number in 0..<10_000 {
                        group.addTask {
                            let payload = bytes("\(number)")
                            return try await connection.publishToStream("WORK.a", payload: payload, timeout: patience)
                                .sequence
                        }
                    }
                    return try await group.reduce(into: Set<UInt64>()) { $0.insert($1) }
                }
                #expect(sequences.count == 10_000)
                print("10,000 publishes, 64 in flight:", start.duration(to: .now))
            }
        }

        @Test(arguments: TestNATS.binaries)
        func `many published at once are answered each, in their order`(_ binary: String) async throws {
            try await withServer(binary, adjust: { $0.maxPendingPublishes = 64 }) { connection, _ in
                try await connection.makeStream("WORK")
                var messages = (0..<500).map {
                    StreamMessage(subject: "WORK.a", headers: ["k": "v"], payload: bytes("\($0)"), messageID: "m-\($0)")
                }
                messages[100] = StreamMessage(subject: "WORK.with space", payload: [])
                messages[200] = StreamMessage(subject: "nowhere", payload: [])
                messages[300] = StreamMessage(subject: "WORK.a", payload: [], messageID: "m-299")
                let results = await connection.publishToStream(messages, timeout: patience)
                var refused: [Int: NATSError.Code] = [:]
                var sequences: [UInt64] = []
                for (place, result) in results.enumerated() {
                    switch result {
                    case .failure(let error): refused[place] = error.code
                    case .success(let ack):
                        #expect(ack.duplicate == (place == 300))
                        if !ack.duplicate { sequences.append(ack.sequence) }
                    }
                }
                #expect(refused == [100: .invalidSubject, 200: .noResponders])
                #expect(sequences == Array(1...497))
                #expect(await connection.publishToStream([]).isEmpty)
            }
        }

        @Test(arguments: TestNATS.binaries)
        func `many published at once end together when their caller is cancelled`(_ binary: String) async throws {
            try await withServer(binary, adjust: { $0.maxPendingPublishes = 8 }) { connection, _ in
                try await connection.makeStream("WORK")
                let messages = (0..<2000).map { StreamMessage(subject: "WORK.a", payload: bytes("\($0)")) }
                let publishing = Task { await connection.publishToStream(messages, timeout: patience) }
                publishing.cancel()
                let results = await publishing.value
                #expect(results.count == 2000)
                for result in results {
                    guard case .failure(let error) = result else { continue }
                    #expect(error.code == .cancelled || error.code == .outcomeUnknown)
                }
                // The connection has room again, whatever became of those.
                let after = try await connection.publishToStream("WORK.a", payload: [], timeout: patience)
                #expect(after.stream == "WORK")
            }
        }

        @Test(arguments: TestNATS.binaries)
        func `a message over the server's limit is refused before it is sent`(_ binary: String) async throws {
            try await withServer(binary, maxPayload: 4096) { connection, _ in
                #expect(connection.maxPayloadBytes == 4096)
                try await connection.makeStream("WORK")
                let large = [UInt8](repeating: 0, count: 4097)
                let result = await failure { _ = try await connection.publishToStream("WORK.a", payload: large) }
                #expect(result.code == .payloadTooLarge)
                // Headers count too.
                let full = [UInt8](repeating: 0, count: 4090)
                let headed = await failure {
                    _ = try await connection.publishToStream("WORK.a", headers: ["a": "b"], payload: full)
                }
                #expect(headed.code == .payloadTooLarge)
                let whole = try await connection.publishToStream("WORK.a", payload: [UInt8](repeating: 0, count: 4096))
                #expect(whole.sequence == 1)
            }
        }

        @Test(arguments: TestNATS.binaries)
        func `a request is answered with headers both ways`(_ binary: String) async throws {
            try await withServer(binary) { connection, _ in
                let questions = try connection.subscribe("rpc.echo")
                async let answering: Void = {
                    for await question in questions {
                        let reply = try #require(question.reply)
                        try connection.publish(
                            reply, headers: ["golden-tenant": question.headers["golden-tenant"] ?? ""],
                            payload: question.payload
                        )
                        return
                    }
                }()
                let answer = try await connection.request(
                    "rpc.echo", headers: ["golden-tenant": "t 1"], payload: bytes("hi")
                )
                try await answering
                #expect(answer.payload == bytes("hi"))
                #expect(answer.headers == ["golden-tenant": "t 1"])
            }
        }

        @Test(arguments: TestNATS.binaries)
        func `a request to nobody fails at once`(_ binary: String) async throws {
            try await withServer(binary) { connection, _ in
                let result = await failure { _ = try await connection.request("nobody", payload: []) }
                #expect(result.code == .noResponders)
                #expect(result.took < .seconds(2))
            }
        }

        @Test(arguments: TestNATS.binaries)
        func `a round trip is measured`(_ binary: String) async throws {
            try await withServer(binary) { connection, _ in
                let time = try await connection.roundTripTime(timeout: .seconds(2))
                #expect(time > .zero)
                #expect(time < .seconds(2))
            }
        }
    }
}
