internal import Contracts
internal import FoundationEssentials
internal import Glibc

/// One process for all time: its id and the moment it started, because ids are used again.
struct ProcessIdentity: Sendable, Hashable {
    let pid: Int32
    /// Clock ticks between boot and the start of the process, field 22 of `/proc/<pid>/stat`.
    let startTicks: Int

    init(pid: Int32, startTicks: Int) {
        self.pid = pid
        self.startTicks = startTicks
    }

    /// Nil when no such process exists, or only its unreaped remains.
    init?(runningAs pid: Int32) {
        guard let stat = Self.stat(pid), stat.state != "Z", stat.state != "X" else { return nil }
        self.init(pid: pid, startTicks: stat.startTicks)
    }

    static var current: ProcessIdentity? { ProcessIdentity(runningAs: getpid()) }

    /// True while this very process runs.
    var isRunning: Bool { ProcessIdentity(runningAs: pid) == self }

    /// Sends the signal when this very process still runs; false when it does not or may not be signalled.
    @discardableResult
    func send(_ signal: Int32) -> Bool { isRunning && kill(pid, signal) == 0 }

    /// Like `send`, to the whole process group this process leads.
    @discardableResult
    func sendToGroup(_ signal: Int32) -> Bool { isRunning && kill(-pid, signal) == 0 }

    /// Seconds since it started.
    var uptimeSeconds: Double? {
        guard isRunning, let text = readSmallFile("/proc/uptime"), let word = text.split(separator: " ").first,
            let up = Double(word)
        else { return nil }
        return max(0, up - Double(startTicks) / Double(sysconf(Int32(_SC_CLK_TCK))))
    }

    /// The program's name stands in brackets and may itself hold spaces and brackets: fields start after the last one.
    private static func stat(_ pid: Int32) -> (state: Substring, startTicks: Int)? {
        guard pid > 0, let text = readSmallFile("/proc/\(pid)/stat"), let bracket = text.lastIndex(of: ")") else {
            return nil
        }
        let fields = text[text.index(after: bracket)...].split(separator: " ")
        guard fields.count > 19, let ticks = Int(fields[19]) else { return nil }
        return (fields[0], ticks)
    }
}

extension ProcessIdentity {
    init(json: JSON) throws(JSONError) {
        var reader = try JSONReader(json)
        self.init(pid: Int32(clamping: try reader.int("pid")), startTicks: try reader.int("start_ticks"))
    }

    func write(to writer: inout JSONWriter) {
        writer.field("pid", Int(pid))
        writer.field("start_ticks", startTicks)
    }
}

/// The text of a small file; nil when it cannot be read.
func readSmallFile(_ path: String) -> String? {
    do {
        return try String(contentsOfFile: path, encoding: .utf8)
    } catch {
        return nil
    }
}
