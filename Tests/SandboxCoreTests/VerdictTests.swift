import Contracts
import SandboxExecutorCore
import Testing

@Suite struct `The verdict on a run` {
    struct Row: Sendable, CustomTestStringConvertible {
        let testDescription: String
        let lines: String
        var stop: StopReason?
        var memoryKills = 0
        let status: SandboxStatus
        var code: Int?
        var signal: Int?
        var isEngineFailure = false
        var failedToCompile = false
    }

    static let built = "version protocol=1\ninit pid=7\n"
    static let start =
        "version protocol=1\ninit pid=7\nlayers tier=namespaces cgroup=v1+v2 landlock=7 seccomp=1 uid=61000 "
        + "groups=none network=slot\n"
    static let ran = start + "started step=run\n"

    static let rows: [Row] = [
        Row(testDescription: "code 0", lines: ran + exit("code", 0), status: .ok, code: 0),
        Row(testDescription: "code 3", lines: ran + exit("code", 3), status: .error, code: 3),
        Row(testDescription: "a segmentation fault", lines: ran + exit("signal", 11), status: .signal, signal: 11),
        Row(testDescription: "SIGXCPU", lines: ran + exit("signal", 24), status: .cpuLimit, signal: 24),
        Row(
            testDescription: "killed at the end of its CPU time", lines: ran + exit("signal", 9, cpu: 11_000_000),
            status: .cpuLimit, signal: 9),
        Row(testDescription: "killed before", lines: ran + exit("signal", 9, cpu: 5), status: .signal, signal: 9),
        Row(
            testDescription: "out of memory", lines: ran + exit("signal", 9), memoryKills: 1, status: .memoryLimit,
            signal: 9),
        Row(
            testDescription: "a child was out of memory, and it went on", lines: ran + exit("code", 0), memoryKills: 2,
            status: .memoryLimit, code: 0),
        Row(
            testDescription: "time, then memory", lines: ran + exit("signal", 9), stop: .timeout, memoryKills: 1,
            status: .timeout, signal: 9),
        Row(
            testDescription: "output", lines: ran + exit("signal", 9), stop: .outputLimit, status: .outputLimit,
            signal: 9),
        Row(testDescription: "canceled", lines: ran, stop: .canceled, status: .canceled),
        Row(
            testDescription: "an error beats all", lines: start + "error stage=mount errno=1 at=/usr\n",
            stop: .canceled,
            memoryKills: 1, status: .sandboxError, isEngineFailure: true),
        Row(
            testDescription: "no such command", lines: start + "error stage=exec errno=2 at=/usr/bin/cobol\n",
            status: .sandboxError),
        Row(
            testDescription: "exec failed for another reason", lines: start + "error stage=exec errno=12 at=/x\n",
            status: .sandboxError, isEngineFailure: true),
        Row(
            testDescription: "inputs that find no room", lines: built + "error stage=data errno=28 at=box/d/f\n",
            status: .sandboxError),
        Row(
            testDescription: "an input's name that is too long", lines: built + "error stage=data errno=36 at=box/d\n",
            status: .sandboxError),
        Row(
            testDescription: "inputs that cannot be written", lines: built + "error stage=data errno=5 at=box/d\n",
            status: .sandboxError, isEngineFailure: true),
        Row(
            testDescription: "no room on the host's own disk",
            lines: "version protocol=1\nerror stage=data errno=28 at=box/d\n", status: .sandboxError,
            isEngineFailure: true),
        Row(testDescription: "not a word", lines: "", status: .sandboxError, isEngineFailure: true),
        Row(testDescription: "the launcher was killed", lines: ran, status: .sandboxError, isEngineFailure: true),
        Row(testDescription: "given up", lines: ran, stop: .abandoned, status: .sandboxError),
        Row(
            testDescription: "a compiler's complaint",
            lines: start + "started step=compile\n" + exit("code", 1, "compile"),
            status: .error, code: 1, failedToCompile: true),
        Row(
            testDescription: "compiled, and its sandbox died",
            lines: start + "started step=compile\n" + exit("code", 0, "compile") + "started step=run\n",
            status: .sandboxError, isEngineFailure: true),
        Row(
            testDescription: "compiled, and stopped without a word of how it ended",
            lines: start + "started step=compile\n" + exit("code", 0, "compile"), stop: .timeout, status: .timeout),
        Row(
            testDescription: "compiled, and killed as a whole for memory",
            lines: start + "started step=compile\n" + exit("code", 0, "compile"), memoryKills: 1, status: .memoryLimit),
        Row(
            testDescription: "a compiler that took too long",
            lines: start + "started step=compile\n" + exit("signal", 9, "compile"), stop: .timeout, status: .timeout,
            signal: 9, failedToCompile: true),
        Row(
            testDescription: "compiled and run", lines: ran + exit("code", 0, "compile") + exit("code", 4),
            status: .error,
            code: 4),
    ]

    static func exit(_ kind: String, _ value: Int, _ step: String = "run", cpu: Int = 1) -> String {
        "exit step=\(step) kind=\(kind) value=\(value) user_us=\(cpu) system_us=0 maxrss_kib=9\n"
    }

    @Test(arguments: rows)
    func `the first that holds is the status`(row: Row) {
        var report = LauncherReport()
        report.feed(Array(row.lines.utf8)[...])
        var facts = RunFacts(report: report, cpuSecondsMax: 11)
        facts.stop = row.stop
        facts.memoryKills = row.memoryKills
        let verdict = Verdict(facts)
        #expect(verdict.status == row.status)
        #expect(verdict.exitCode == row.code && verdict.signal == row.signal)
        #expect(verdict.isEngineFailure == row.isEngineFailure)
        #expect(verdict.failedToCompile == row.failedToCompile)
        #expect((verdict.failure != nil) == (row.status == .sandboxError))
    }

    @Test func `files that find no room are the caller's to mend`() {
        var report = LauncherReport()
        report.feed(Array((Self.built + "error stage=data errno=28 at=box/d/f\n").utf8)[...])
        let failure = Verdict(RunFacts(report: report, cpuSecondsMax: 11)).failure
        #expect(failure?.code == SandboxOutcome.Failure.invalidRequest)
        #expect(failure?.message.contains("box/d/f") == true && failure?.message.contains("disk_bytes") == true)
    }

    @Test func `records are read in any pieces, and strangers passed over`() {
        let text =
            Self.ran + "news of=tomorrow\n" + String(repeating: "x", count: 2000) + "\n"
            + "artifacts count=2 bytes=9 skipped=1 truncated=1\nusage user_us=5 system_us=6 maxrss_kib=7\nend init=code:0\n"
        var whole = LauncherReport()
        whole.feed(Array(text.utf8)[...])
        var pieces = LauncherReport()
        for byte in text.utf8 { pieces.feed([byte]) }
        #expect(pieces == whole)
        #expect(whole.version == 1 && whole.initPID == 7 && whole.started == [.run] && whole.lastExit == nil)
        #expect(whole.layers?.cgroup == "v1+v2" && whole.layers?.landlock == 7 && whole.layers?.network == .slot)
        #expect(whole.artifacts == .init(count: 2, skipped: 1, isTruncated: true))
        #expect(whole.usage?.cpuMicroseconds == 11 && whole.usage?.memoryPeakBytes == 7 << 10)
    }
}

extension LauncherReport.Artifacts {
    fileprivate init(count: Int, skipped: Int, isTruncated: Bool) {
        var report = LauncherReport()
        report.feed(
            Array("artifacts count=\(count) skipped=\(skipped) truncated=\(isTruncated ? 1 : 0)\n".utf8)[...])
        guard let artifacts = report.artifacts else { preconditionFailure("The record is well-formed.") }
        self = artifacts
    }
}

@Suite struct `Artifact archive` {
    static func number(_ value: Int, _ width: Int) -> [UInt8] {
        (0..<width).map { UInt8(truncatingIfNeeded: value >> (8 * (width - 1 - $0))) }
    }

    static func file(_ name: String, _ content: [UInt8]) -> [UInt8] {
        number(name.utf8.count, 4) + number(content.count, 8) + Array(name.utf8) + content
    }

    static let good = file("out/a.txt", [1, 2, 3]) + file("b", []) + number(0, 4)

    @Test func `whole, it gives its files, in whatever pieces it comes`() throws {
        var archive = ArtifactArchive(countMax: 2, bytesMax: 3)
        for byte in Self.good { archive.feed([byte]) }
        let entries = try #require(archive.entries)
        #expect(entries.map(\.name) == ["out/a.txt", "b"] && entries.map(\.content) == [[1, 2, 3], []])
    }

    @Test(
        arguments: [
            ("no end", Array(good.dropLast(4)), 9, 99), ("cut", Array(good.dropLast(9)), 9, 99),
            ("too many", good, 1, 99),
            ("too long", good, 9, 2), ("more after the end", good + [0], 9, 99), ("nothing", [], 9, 99),
            ("a name with NUL", file("a\0b", []) + number(0, 4), 9, 99),
            ("a length beyond all bounds", number(1, 4) + [UInt8](repeating: 0xFF, count: 8) + [0x41], 9, 99),
        ] as [(String, [UInt8], Int, Int)])
    func `broken, it gives nothing`(what: String, bytes: [UInt8], count: Int, size: Int) {
        var archive = ArtifactArchive(countMax: count, bytesMax: size)
        archive.feed(bytes[...])
        #expect(archive.entries == nil, "\(what)")
    }
}
