import AgentWorkerCore
import Contracts
import Testing

@Suite
struct StderrReaderTests {
    @Test func `progress lines are found however the bytes are cut`() throws {
        let text = """
            starting
            {"progress": "one"}
            {"progress": "zwölf \\u00e4", "data": {"n": [1, 2]}}\r
            {"other": true}
            {not json
            """
        let expected = [
            StderrReader.Progress(message: "one", data: nil),
            StderrReader.Progress(message: "zwölf ä", data: try JSON(parsing: Array("{\"n\": [1, 2]}".utf8))),
        ]
        for size in [1, 2, 3, 7, 64, 1000] {
            var reader = StderrReader()
            var found: [StderrReader.Progress] = []
            var rest = Array(text.utf8)[...]
            while !rest.isEmpty {
                found += reader.read(rest.prefix(size))
                rest = rest.dropFirst(size)
            }
            found += reader.finish()
            #expect(found == expected)
            #expect(reader.tail == "starting\n{\"other\": true}\n{not json\n")
        }
    }

    @Test func `a last line without line break counts`() {
        var reader = StderrReader()
        #expect(reader.read(Array("{\"progress\": \"end\"}".utf8)).isEmpty)
        #expect(reader.finish() == [StderrReader.Progress(message: "end", data: nil)])
        #expect(reader.finish().isEmpty)
    }

    @Test func `the last usage counts and nonsense does not`() {
        var reader = StderrReader()
        let lines = ["{\"usage\": {\"tokens\": 5}}", "{\"usage\": {\"tokens\": 9}}", "{\"usage\": {\"tokens\": -1}}"]
        #expect(reader.read(Array(lines.map { $0 + "\n" }.joined().utf8)).isEmpty)
        #expect(reader.usage == AgentReport.Usage(tokens: 9))
        #expect(reader.tail == "{\"usage\": {\"tokens\": -1}}\n")
    }

    @Test func `usage travels with progress, and at once when it passes the budget`() {
        var reader = StderrReader(budgetLeft: 10)
        let lines = ["{\"usage\": {\"tokens\": 10}}", "{\"progress\": \"half\"}", "{\"usage\": {\"tokens\": 11}}"]
        let found = reader.read(Array(lines.map { $0 + "\n" }.joined().utf8))
        #expect(found.map(\.usage?.tokens) == [10, 11])
        #expect(found.map(\.message) == ["half", "used 11 tokens, 10 were left"])
    }

    @Test func `a line without end is bounded, and its end is what is kept`() {
        var reader = StderrReader()
        let line = "{\"progress\": \"" + String(repeating: "x", count: 1 << 20) + "THE END"
        #expect(reader.read(Array(line.utf8)).isEmpty)
        #expect(reader.read(Array("\"}\n".utf8)).isEmpty)
        #expect(reader.tail.hasSuffix("THE END\"}\n"))
        #expect(reader.tail.utf8.count <= StderrReader.tailBytesMax)
        #expect(reader.read(Array("{\"progress\": \"next\"}\n".utf8)).count == 1)
    }

    @Test(arguments: ["ä", "漢", "x"])
    func `long texts are cut at whole characters`(_ letter: String) {
        var reader = StderrReader()
        let long = String(repeating: letter, count: 5000)
        let found = reader.read(Array("{\"progress\": \"\(long)\"}\n".utf8))
        #expect(found.count == 1)
        #expect(found.allSatisfy { $0.message.utf8.count <= 4096 && long.hasPrefix($0.message) })
        _ = reader.read(Array("\(long)\n".utf8))
        #expect(!reader.tail.contains("\u{FFFD}"))
    }

    @Test func `bytes that are no text do no harm`() {
        var reader = StderrReader()
        #expect(reader.read([0xFF, 0x00, 0xC3, 0x0A, 0x7B, 0x00, 0x0A]).isEmpty)
        #expect(!reader.tail.contains("\0"))
    }
}
