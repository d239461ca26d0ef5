import Contracts
import Foundation
import SandboxExecutorCore
import Testing

@Suite struct `Output` {
    static let id = ExecutionID(UUID())

    @Test func `what fits is kept whole, whatever it was read in`() {
        for size in [1, 2, 3, 7, 100] {
            var capture = OutputCapture(keeping: 100)
            let bytes = (0..<100).map { UInt8($0) }
            for start in stride(from: 0, to: 100, by: size) { capture.append(bytes[start..<min(100, start + size)]) }
            #expect(capture.output == SandboxOutcome.Output(head: bytes, bytesTotal: 100))
        }
    }

    @Test func `of what does not, the beginning and the end are kept, and the rest is counted`() {
        var capture = OutputCapture(keeping: 100)
        let bytes = (0..<10_000).map { UInt8(truncatingIfNeeded: 0x20 + $0 % 90) }
        for start in stride(from: 0, to: bytes.count, by: 33) {
            capture.append(bytes[start..<min(bytes.count, start + 33)])
        }
        let output = capture.output
        #expect(output.head == Array(bytes.prefix(75)) && output.tail == Array(bytes.suffix(25)))
        #expect(output.bytesTotal == 10_000 && output.bytesCut == 9900)
    }

    @Test func `nothing kept is still counted`() {
        var capture = OutputCapture(keeping: 0)
        capture.append(Array("hello".utf8)[...])
        #expect(capture.output == SandboxOutcome.Output(bytesTotal: 5))
    }

    @Test func `cuts fall between characters`() {
        var capture = OutputCapture(keeping: 40)
        capture.append(Array(String(repeating: "€", count: 100).utf8)[...])
        let output = capture.output
        #expect(output.head.count == 30 && output.tail.count == 9)
        #expect(String(validating: output.head, as: UTF8.self) != nil)
        #expect(String(validating: output.tail, as: UTF8.self) != nil)
    }

    @Test(
        arguments: [
            ([0xE2, 0x82], 2), ([0x41], 0), ([0xF0, 0x9F, 0x98], 3), ([0xE2, 0x82, 0xAC], 0), ([0x80], 0), ([], 0),
            ([0xFF], 0), ([0xC3], 1), ([0xC0], 0), ([0x41, 0xE2], 1),
        ] as [([UInt8], Int)])
    func `the part of a character at an end is known`(bytes: [UInt8], count: Int) {
        #expect(OutputText.partialScalar(atEndOf: bytes[...]) == count)
    }

    @Test(arguments: [3, 11, 40, 100, 5000])
    func `events afterwards are those that were told, however it was read`(size: Int) throws {
        let text = Array(String(repeating: "zwölf €uro ☃\n", count: 40).utf8) + [0xFF, 0xFE, 0x00]
        var transcript = Transcript(execution: Self.id, attempt: 2, keeping: 400)
        var told = [transcript.start]
        for (turn, start) in stride(from: 0, to: text.count, by: size).enumerated() {
            let stream: SandboxEvent.Stream = turn % 3 == 2 ? .stderr : .stdout
            transcript.append(stream, text[start..<min(text.count, start + size)])
            if turn % 2 == 0 { told += transcript.tell() }
        }
        told += transcript.tell()
        var outcome = SandboxOutcome(status: .error)
        outcome.stdout = transcript.output(of: .stdout)
        outcome.stderr = transcript.output(of: .stderr)
        let stored = try #require(Pieces(text: transcript.pieces.text))
        let events = Transcript.events(of: Self.id, attempt: 2, outcome: outcome, pieces: stored)
        #expect(Array(events.prefix(told.count)) == told)
        #expect(
            events.map(\.number)
                == Array((SandboxEvent.numbersPerTry + 1)...(SandboxEvent.numbersPerTry + events.count)))
        #expect(events.last?.kind == .exit(.error))
        for stream in SandboxEvent.Stream.allCases {
            let kept = stream == .stdout ? outcome.stdout : outcome.stderr
            let shown = events.flatMap { event -> [UInt8] in
                guard case .output(stream, _, let bytes) = event.kind else { return [] }
                return bytes
            }
            #expect(shown == kept.head + kept.tail)
        }
    }

    @Test func `of very many pieces so many are told, and the rest at the end`() throws {
        var transcript = Transcript(execution: Self.id, attempt: 1, keeping: 1 << 20)
        var told = [transcript.start]
        for turn in 0..<(Transcript.piecesMax + 5000) {
            transcript.append(turn % 2 == 0 ? .stdout : .stderr, [0x61])
            if turn % 500 == 0 { told += transcript.tell() }
        }
        told += transcript.tell()
        transcript.append(.stdout, Array(String(repeating: "€", count: 40_000).utf8)[...])
        #expect(!transcript.hasUntold && transcript.tell().isEmpty)
        #expect(told.count == 1 + Transcript.piecesMax && transcript.pieces.count == Transcript.piecesMax)
        var outcome = SandboxOutcome(status: .ok)
        outcome.stdout = transcript.output(of: .stdout)
        outcome.stderr = transcript.output(of: .stderr)
        let events = Transcript.events(of: Self.id, attempt: 1, outcome: outcome, pieces: transcript.pieces)
        #expect(Array(events.prefix(told.count)) == told && events.map(\.number) == Array(1...events.count))
        var shown: [SandboxEvent.Stream: [UInt8]] = [:]
        for event in events {
            guard case .output(let stream, let offset, let bytes) = event.kind else { continue }
            #expect(offset == shown[stream, default: []].count && bytes.count <= Transcript.pieceBytesMax)
            #expect(OutputText.text(bytes) != nil, "It is cut between characters.")
            shown[stream, default: []] += bytes
        }
        #expect(shown == [.stdout: outcome.stdout.head, .stderr: outcome.stderr.head])
    }

    @Test(arguments: [1, 2, 3, 100])
    func `pages of events are all of them`(size: Int) throws {
        var outcome = SandboxOutcome(status: .error)
        outcome.stdout = .init(head: Array("some output".utf8), tail: Array("the end".utf8), bytesTotal: 100)
        let pieces = try #require(Pieces(text: "o1 o2 o3"))
        let all = Transcript.events(of: Self.id, attempt: 3, outcome: outcome, pieces: pieces)
        var paged: [SandboxEvent] = []
        while true {
            let page = Transcript.events(
                of: Self.id, attempt: 3, outcome: outcome, pieces: pieces, after: paged.last?.number ?? 0,
                countMax: size)
            #expect(page.count <= size)
            if page.isEmpty { break }
            paged += page
        }
        #expect(paged == all)
    }

    @Test(arguments: ["", "o1", "o1 e20 o3"])
    func `pieces keep their text`(text: String) throws { #expect(try #require(Pieces(text: text)).text == text) }

    @Test(arguments: ["x1", "o0", "o-1", "o", "oo1"])
    func `what no pieces wrote is refused`(text: String) { #expect(Pieces(text: text) == nil) }

    @Test func `bytes come through JSON unharmed`() throws {
        for bytes in [Array("plain \"text\" \u{1F600}\n".utf8), [0, 1, 2, 255], [UInt8](repeating: 7, count: 90), []] {
            var outcome = SandboxOutcome(status: .ok)
            outcome.exitCode = 0
            outcome.stdout = SandboxOutcome.Output(head: bytes, tail: [9, 10], bytesTotal: 1000)
            outcome.artifacts = [.init(name: "a/b", bytes: bytes.count, sha256: "ff", content: bytes)]
            outcome.usage.wallMicroseconds = 1234
            outcome.isolation = .init(tier: .namespaces, cgroup: "v1+v2", landlock: 7, isWarm: true)
            var reader = try JSONReader(JSONWriter.object(outcome.write))
            #expect(try SandboxOutcome(from: &reader) == outcome)
        }
    }

    @Test func `a result fits a message, whatever was written`() throws {
        for byte in [UInt8(ascii: "\""), 0x01, 0x41, 0xFF] {
            var outcome = SandboxOutcome(status: .ok)
            let bytes = [UInt8](repeating: byte, count: 1 << 20)
            outcome.stdout = .init(head: bytes, bytesTotal: bytes.count)
            outcome.stderr = outcome.stdout
            outcome.artifacts = (0..<32).map {
                .init(name: "\($0)", bytes: 1 << 18, sha256: "", content: Array(bytes.prefix(1 << 18)))
            }
            let result = SandboxResult(execution: Self.id, tenant: TenantID(literal: "t"), outcome: outcome)
            #expect(result.json.bytes.count < 1 << 20)
            #expect(result.outcome.stdout.bytesTotal == bytes.count && result.outcome.stdout.bytesCut > 0)
            #expect(result.outcome.artifacts.count == 32)
        }
    }
}
