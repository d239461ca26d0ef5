internal import Processes

/// Names of what executors make on the host. They tell which process made it, so that what a killed one left is
/// recognised and removed by the next.
enum OwnerMark {
    private static let prefix = "golden-sandbox."

    /// Another one each time: a process may hold several, and its number and start may come again in another container.
    static func new() throws(ProcessError) -> String {
        let number = String(UInt32.random(in: 0...UInt32.max), radix: 36)
        return prefix + (try identity(KernelFiles.processID)) + ".\(number)"
    }

    /// Whether the process that gave the name is no more; false for a name that no executor gave.
    static func isLeft(_ name: String) -> Bool {
        guard name.hasPrefix(prefix) else { return false }
        let parts = name.dropFirst(prefix.count).split(separator: ".")
        guard let pid = parts.first.flatMap({ Int32($0) }) else { return false }
        // Earlier builds wrote no start: left when no process has the number.
        if parts.count == 2 { return !KernelFiles.exists("/proc/\(pid)") }
        guard parts.count == 3 else { return false }
        do { return try identity(pid) != parts[0...1].joined(separator: ".") } catch {
            // It may not have been read for want of descriptors; gone is only what is not there, and that needs none.
            return !KernelFiles.exists("/proc/\(pid)")
        }
    }

    /// A process as nobody after it can be: its number and when it began.
    private static func identity(_ pid: Int32) throws(ProcessError) -> String {
        let stat = try KernelFiles.read("/proc/\(pid)/stat")
        // The name in parentheses may hold anything; the fields count from behind it.
        let fields = stat[(stat.lastIndex(of: ")") ?? stat.startIndex)...].split(separator: " ")
        return "\(pid).\(fields.count > 20 ? fields[20] : "0")"
    }
}
