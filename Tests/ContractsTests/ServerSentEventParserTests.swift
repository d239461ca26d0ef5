import Contracts
import Testing

@Suite struct `Server-sent events` {
    private static let text =
        ": beat\r\nid: 1\nevent: task.created\ndata: {\"a\":1}\n\nretry: 250\nid: 2\rdata: one\rdata: two\r\rdata:x\n\n: end\n"

    private static let expected = [
        ServerSentEventParser.Event(id: "1", name: "task.created", data: "{\"a\":1}"),
        ServerSentEventParser.Event(id: "2", name: nil, data: "one\ntwo"),
        ServerSentEventParser.Event(id: "2", name: nil, data: "x"),
    ]

    @Test func `events are the same wherever the bytes are cut`() throws {
        let bytes = Array(Self.text.utf8)
        for cut in 0...bytes.count {
            var parser = ServerSentEventParser()
            var events = try parser.feed(bytes[..<cut])
            events += try parser.feed(bytes[cut...])
            #expect(events == Self.expected, "cut at \(cut)")
            #expect(parser.retryMilliseconds == 250)
        }
    }

    @Test func `an event cut off by the end of the stream is not delivered`() throws {
        var parser = ServerSentEventParser()
        #expect(try parser.feed(Array("id: 3\ndata: half\n".utf8)).isEmpty)
    }

    @Test func `a block without data is no event`() throws {
        var parser = ServerSentEventParser()
        #expect(try parser.feed(Array("event: task.created\n\n".utf8)).isEmpty)
    }

    @Test func `a line without end is refused before it fills the memory`() throws {
        var parser = ServerSentEventParser()
        let chunk = [UInt8](repeating: UInt8(ascii: "a"), count: ServerSentEventParser.eventBytesDefault + 1)
        #expect(throws: ServerSentEventParser.TooLong.self) { try parser.feed(chunk) }
    }

    @Test(arguments: ["data: 0123456789\n", "data\n", "data:\n"])
    func `an event of endless lines is refused before it fills the memory`(_ line: String) throws {
        var parser = ServerSentEventParser(eventBytesMax: 100)
        #expect(throws: ServerSentEventParser.TooLong.self) {
            for _ in 0..<101 { _ = try parser.feed(Array(line.utf8)) }
        }
    }

    @Test func `many short events are not one long one`() throws {
        var parser = ServerSentEventParser(eventBytesMax: 40)
        var count = 0
        for _ in 0..<100 { count += try parser.feed(Array("data: 0123456789\n\n".utf8)).count }
        #expect(count == 100)
    }
}
