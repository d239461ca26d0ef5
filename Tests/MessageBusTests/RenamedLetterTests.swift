import Contracts
import Foundation
import MessageBus
import NATS
import TestSupport
import Testing

/// What a client that checks nothing can put on a stream, and ours cannot send on.
@Suite(.serialized, .timeLimit(.minutes(2)))
struct `Letters that cannot keep their subject or headers` {
    private static let payload = "no message"

    /// The letter that becomes of what lies on the results' stream, once the consumer has nothing in hand any more.
    private static func letter(_ test: BusUnderTest) async throws -> NATSMessage {
        let bus = test.bus
        let letters = try test.connection.subscribe("dlq.>")
        var letter: NATSMessage?
        try await beside({
            try await bus.consume(.allResults, as: BusTopology.orchestratorResults) { batch in
                batch.map { _ in .acknowledge }
            }
        }) {
            for await message in letters {
                letter = message
                break
            }
            while try await bus.backlog(of: BusTopology.orchestratorResults)?.ackPending != 0 { await Task.yield() }
        }
        return try #require(letter)
    }

    private static func check(_ letter: NATSMessage, of subject: String) {
        #expect(letter.subject == Subject.renamedDeadLetter.text)
        #expect(letter.payload == Array(payload.utf8))
        #expect(letter.headers[MessageHeader.originalSubject] == subject)
        #expect(letter.headers[MessageHeader.tenant] == tenant.text, "nobody else's operators may see it")
        #expect(letter.headers[MessageHeader.reason] == "undecodable")
        #expect(letter.headers[MessageHeader.stream] == "RESULTS" && letter.headers[MessageHeader.sequence] == "1")
        #expect(letter.headers["kept"] == nil)
    }

    @Test(arguments: TestNATS.binaries)
    func `a subject that is too long behind another word goes into a header`(_ binary: String) async throws {
        try await BusUnderTest.run(binary) { test in
            let start = "results.developer."
            let subject = start + String(repeating: "x", count: 1021 - start.utf8.count)
            _ = try await test.connection.publishToStream(
                subject, headers: [MessageHeader.tenant: tenant.text, "kept": "no"], payload: Array(Self.payload.utf8))
            Self.check(try await Self.letter(test), of: subject)
            #expect(test.bus.counts.deadLettered == 1)
        }
    }

    @Test(arguments: TestNATS.binaries)
    func `headers that no client of ours may send are left out`(_ binary: String) async throws {
        try await BusUnderTest.run(binary) { test in
            let subject = "results.developer.\(newTask())"
            try Self.publish(
                subject, headers: ["größe": "1", "kept": "no", MessageHeader.tenant: tenant.text],
                port: test.server.port)
            Self.check(try await Self.letter(test), of: subject)
            #expect(test.bus.counts.deadLettered == 1)
        }
    }

    private struct Unanswered: Error {}

    /// Publishes the payload by the wire's own words; returns once the server has taken it.
    private static func publish(_ subject: String, headers: [String: String], port: Int) throws {
        let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        defer { close(descriptor) }
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_addr.s_addr = inet_addr("127.0.0.1")
        address.sin_port = in_port_t(UInt16(port).bigEndian)
        let isConnected = withUnsafePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                connect(descriptor, $0, socklen_t(MemoryLayout<sockaddr_in>.size)) == 0
            }
        }
        guard isConnected else { throw Unanswered() }
        let head = headers.reduce(into: "NATS/1.0\r\n") { $0 += "\($1.key): \($1.value)\r\n" } + "\r\n"
        let sizes = "\(head.utf8.count) \(head.utf8.count + payload.utf8.count)"
        let publish = "HPUB \(subject) \(sizes)\r\n\(head)\(payload)\r\n"
        let words = Array("CONNECT {\"verbose\":false,\"headers\":true}\r\n\(publish)PING\r\n".utf8)
        let sent = words.withUnsafeBytes { send(descriptor, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL)) }
        guard sent == words.count else { throw Unanswered() }
        var answer = ""
        while !answer.contains("PONG") {
            var chunk = [UInt8](repeating: 0, count: 4096)
            let count = chunk.withUnsafeMutableBytes { recv(descriptor, $0.baseAddress, $0.count, 0) }
            guard count > 0, !answer.contains("-ERR") else { throw Unanswered() }
            answer += String(decoding: chunk.prefix(count), as: UTF8.self)
        }
    }
}
