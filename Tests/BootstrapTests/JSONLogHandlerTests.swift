internal import Bootstrap
internal import Contracts
internal import Foundation
internal import Logging
import Testing

@Suite struct JSONLogHandlerTests {
    /// The lines a body logs, read back from a pipe.
    private func lines(level: Logger.Level = .info, _ body: (Logger) -> Void) throws -> [JSON] {
        let pipe = Pipe()
        let output = LogOutput(descriptor: pipe.fileHandleForWriting.fileDescriptor)
        body(output.logger(service: "orchestrator", level: level))
        try pipe.fileHandleForWriting.close()
        let data = try pipe.fileHandleForReading.readToEnd() ?? Data()
        return try data.split(separator: UInt8(ascii: "\n")).map { try JSON(parsing: $0) }
    }

    private func text(_ line: JSON, _ name: String) -> String? {
        line.fields?.first { $0.name == name }?.value.string
    }

    @Test func `a line holds time, level, service, message and metadata`() throws {
        let line = try #require(
            try lines { logger in
                var logger = logger
                logger[metadataKey: "tenant"] = "acme"
                logger.warning("A task failed", metadata: ["task_id": "\(42)", "trace_id": "abc"])
            }.first
        )
        #expect(line.fields?.map(\.name) == ["ts", "level", "service", "msg", "task_id", "tenant", "trace_id"])
        #expect(text(line, "level") == "warning")
        #expect(text(line, "service") == "orchestrator")
        #expect(text(line, "msg") == "A task failed")
        #expect(text(line, "task_id") == "42")
        #expect(Timestamp.date(try #require(text(line, "ts"))) != nil)
    }

    @Test func `what is below the level is not written`() throws {
        #expect(try lines(level: .warning) { $0.info("quiet") }.isEmpty)
        #expect(try lines(level: .debug) { $0.debug("loud") }.count == 1)
    }

    @Test func `line breaks, quotes and keys of ours cannot forge a line`() throws {
        let found = try lines { logger in
            logger.info("one\ntwo", metadata: ["a": "\"}\n{\"level\":\"error\"", "level": "x", "service": "y"])
        }
        #expect(found.count == 1)
        let line = try #require(found.first)
        #expect(text(line, "msg") == "one\ntwo")
        #expect(text(line, "level") == "info")
        #expect(text(line, "meta.level") == "x")
        #expect(text(line, "service") == "orchestrator")
    }

    @Test func `a line is bounded`() throws {
        let many = Dictionary(uniqueKeysWithValues: (0..<200).map { ("k\($0)", Logger.MetadataValue.string("v")) })
        var nested: Logger.MetadataValue = "end"
        for _ in 0..<50 { nested = ["deeper": nested] }
        let found = try lines { logger in
            logger.info("long", metadata: ["x": "\(String(repeating: "é", count: 100_000))"])
            logger.info("many", metadata: many)
            logger.info("deep", metadata: ["nested": nested])
        }
        #expect(try #require(text(found[0], "x")).utf8.count < 5000)
        #expect(try #require(found[1].fields).count <= 68)
        #expect(found[2].bytes.count < 300)
    }

    @Test func `lines of many threads do not mix`() async throws {
        let pipe = Pipe()
        let output = LogOutput(descriptor: pipe.fileHandleForWriting.fileDescriptor)
        let logger = output.logger(service: "s", level: .info)
        await withTaskGroup(of: Void.self) { group in
            for task in 0..<8 {
                group.addTask { for line in 0..<50 { logger.info("x", metadata: ["n": "\(task)-\(line)"]) } }
            }
        }
        try pipe.fileHandleForWriting.close()
        let data = try pipe.fileHandleForReading.readToEnd() ?? Data()
        let lines = try data.split(separator: UInt8(ascii: "\n")).map { try JSON(parsing: $0) }
        #expect(Set(lines.compactMap { text($0, "n") }).count == 400)
    }
}
