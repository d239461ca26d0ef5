import Contracts
import Foundation
import TestSupport
import Testing

@testable import golden

/// `golden logs`: real files, real `golden`, no stack.
@Suite(.timeLimit(.minutes(5))) struct `The stack's logs` {
    private func write(_ text: String, to path: String) throws {
        try Data(text.utf8).write(to: URL(filePath: path))
    }

    private func append(_ text: String, to path: String) throws {
        let file = try FileHandle(forWritingTo: URL(filePath: path))
        try file.seekToEnd()
        try file.write(contentsOf: Data(text.utf8))
        try file.close()
    }

    private final class Shown {
        private var reader: LogReader

        init(_ path: String, lines: Int, isFollowed: Bool) {
            reader = LogReader(path, lines: lines, isFollowed: isFollowed)
        }

        /// What has come since the last time.
        func more() -> [String] {
            var lines: [String] = []
            while let line = reader.next() { lines.append(line) }
            return lines
        }
    }

    @Test func `the last lines are those asked for, however large the log is`() throws {
        let path = "\(try Scratch.folder("tail").path)/a.log"
        // More than a piece, and longer than one at the end.
        let long = String(repeating: "x", count: LogReader.lineBytesMax + 5)
        let numbers = (1...30_000).map { "line \($0)" }.joined(separator: "\n")
        try write("\(numbers)\n\(long)\nlast", to: path)
        let shown = Shown(path, lines: 3, isFollowed: false)
        #expect(shown.more() == ["line 30000", String(long.dropLast(5)), "xxxxx", "last"])
        for (count, first) in [(0, nil), (1, "last"), (30_002, "line 1"), (Int.max, "line 1")] as [(Int, String?)] {
            #expect(Shown(path, lines: count, isFollowed: false).more().first == first)
        }
        #expect(Shown("\(path).none", lines: 3, isFollowed: false).more() == [])
    }

    @Test func `what is written to a log while it is shown is left for those who follow it`() throws {
        let path = "\(try Scratch.folder("snapshot").path)/a.log"
        try write("one\n", to: path)
        let shown = Shown(path, lines: 5, isFollowed: false)
        try append("two\n", to: path)
        #expect(shown.more() == ["one"])
    }

    @Test func `a log is followed through its growth, its emptying and another in its place`() throws {
        let path = "\(try Scratch.folder("follow").path)/a.log"
        try write("one\ntwo\n", to: path)
        let shown = Shown(path, lines: 1, isFollowed: true)
        #expect(shown.more() == ["two"])
        try append("thr", to: path)
        #expect(shown.more() == [], "a line is shown once it is whole")
        try append("ee\nfo", to: path)
        #expect(shown.more() == ["three"])
        LogFiles(paths: [path], bytesMax: 1).rotate()
        #expect(shown.more() == ["fo"])
        try append("five\n", to: path)
        #expect(shown.more() == ["five"])
        try FileManager.default.removeItem(atPath: path)
        #expect(shown.more() == [])
        try write("a new log of the same name\n", to: path)
        #expect(shown.more() == ["a new log of the same name"])
    }

    @Test func `a log that is written without end keeps no other waiting`() throws {
        let folder = try Scratch.folder("busy")
        let busy = String(repeating: "2026-01-31T12:00:01Z busy\n", count: 3 * LogLines.roundLines)
        try write(busy, to: folder.log(of: "busy"))
        try write("", to: folder.log(of: "quiet"))
        var lines = LogLines(["busy", "quiet"], in: folder, lines: .max, isFollowed: true)
        let first = lines.next()
        #expect(first?.name == "busy")
        try append("2026-01-31T12:00:00Z quiet\n", to: folder.log(of: "quiet"))
        var names: [String] = []
        while names.count <= LogLines.roundLines, let line = lines.next() { names.append(line.name) }
        #expect(names.contains("quiet"))
    }

    @Test(
        arguments: [
            (#"{"ts":"2026-01-31T12:00:00.123Z","level":"info"}"#, 1_769_860_800_123_000),
            ("2026-01-31 12:00:00.123 UTC [17] LOG:  ready", 1_769_860_800_123_000),
            ("time=2026-01-31T12:00:00.1234567Z level=INFO", 1_769_860_800_123_456),
            ("2026-01-31T12:00:00Z", 1_769_860_800_000_000), ("\tSELECT 1", nil), ("", nil),
            ("[17] 2026/01", nil), ("12345-01-31 12:00:00", nil),
        ] as [(String, Int?)]
    )
    func `a line's time is read in each program's own form`(line: String, microseconds: Int?) {
        #expect(LogTime.microseconds(line) == microseconds)
    }

    @Test func `Redis and nats-server mean the same time zone`() throws {
        let redis = try #require(LogTime.microseconds("17:M 31 Jan 2026 12:00:00.123 * Ready"))
        let nats = try #require(LogTime.microseconds("[17] 2026/01/31 12:00:01.123456 [INF] Ready"))
        #expect(nats - redis == 1_000_456)
    }

    /// Three processes' logs, of which one no longer runs.
    private func prepared(_ name: String) throws -> Golden {
        let golden = try Golden(name)
        try golden.folder.create()
        try StackRecord.sample(supervisor: nil).save(to: golden.folder)
        try write(
            "[1] 2026/01/31 12:00:01.000000 [INF] second\n[1] 2026/01/31 12:00:03.000000 [INF] fourth\n",
            to: golden.folder.log(of: "nats"))
        try write(
            "no time\n1:M 31 Jan 2026 12:00:02.000 * third\n\tof its \u{1B}[2J\n",
            to: golden.folder.log(of: "agent-echo-1"))
        try write("stopped long ago\n", to: golden.folder.log(of: "redis"))
        return golden
    }

    @Test func `several logs stand in the order of their times, behind their names`() async throws {
        let golden = try prepared("logs")
        let all = try await golden.run("logs")
        #expect(
            all.output == """
                agent-echo-1 | no time
                nats         | [1] 2026/01/31 12:00:01.000000 [INF] second
                agent-echo-1 | 1:M 31 Jan 2026 12:00:02.000 * third
                agent-echo-1 | \tof its \u{FFFD}[2J
                nats         | [1] 2026/01/31 12:00:03.000000 [INF] fourth

                """)
        #expect(all.status == 0, "\(all.errors)")
        let one = try await golden.run("logs", "nats", "--lines", "1")
        #expect(one.output == "[1] 2026/01/31 12:00:03.000000 [INF] fourth\n")
        #expect(try await golden.run("logs", "redis", "nats", "redis").output.split(separator: "\n").count == 3)
    }

    @Test func `a name that there is not is a wrong command line, and those that there are complete`() async throws {
        let golden = try prepared("names")
        let unknown = try await golden.run("logs", "nats", "nuts")
        #expect(unknown.status == 2 && unknown.errors.contains("no log of nuts"))
        #expect(unknown.errors.contains("Choose from: nats, agent-echo-1, redis"), "\(unknown.errors)")
        #expect(try await golden.run("logs", "--lines", "-1").status == 2)
        let words = ["golden", "logs", "--data", golden.folder.path, "n"]
        #expect(LogsCommand.candidates(words, 4, "n") == ["nats", "agent-echo-1", "redis"])
        #expect(LogsCommand.candidates(["golden", "logs", "--data=/no/such"], 3, "") == [])
    }

    @Test func `a stopped stack shows all its logs, and one that runs those of what runs`() throws {
        let golden = try prepared("current")
        try write("", to: golden.folder.log(of: StackLogs.supervisorName))
        let running = StackRecord.sample(supervisor: nil)
        #expect(StackLogs(of: running, in: golden.folder).current == ["nats", "agent-echo-1", "stack"])
        let stopped = StackLogs(of: running.stopped(), in: golden.folder)
        #expect(stopped.current == ["agent-echo-1", "nats", "redis", "stack"])
        #expect(try stopped.chosen([]) == stopped.current)
    }

    @Test func `following goes on until Ctrl-C, which is no failure`() async throws {
        let golden = try prepared("live")
        let started = try golden.start(["logs", "nats", "-f", "--lines", "1"])
        let path = golden.folder.log(of: "nats")
        let shown = try await blocking {
            func text(until word: String) -> String {
                let bytes = Spawner.bytes(from: started.output, until: ContinuousClock.now + .seconds(30)) {
                    String(decoding: $0, as: UTF8.self).contains(word)
                }
                return String(decoding: bytes, as: UTF8.self)
            }
            let first = text(until: "fourth\n")
            LogFiles(paths: [path], bytesMax: 1).rotate()
            try append("fifth\n", to: path)
            let second = text(until: "fifth\n")
            kill(started.process.processIdentifier, SIGINT)
            Spawner.shared.wait(for: started.process)
            return first + second
        }
        #expect(shown == "[1] 2026/01/31 12:00:03.000000 [INF] fourth\nfifth\n")
        #expect(started.process.terminationStatus == 0)
    }
}
