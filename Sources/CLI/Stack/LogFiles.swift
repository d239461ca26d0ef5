internal import FoundationEssentials
internal import Glibc

/// Keeps the processes' logs bounded: beyond `bytesMax` a log is copied to `<log>.1` and emptied.
///
/// The processes hold the files open for appending, so a log is emptied in place rather than renamed away; lines
/// written between the copy and the emptying are lost, which a log may bear and a process's pipe may not.
struct LogFiles: Sendable {
    static let bytesMax = 10 << 20
    static let checkEvery: Duration = .seconds(5)

    let paths: [String]
    var bytesMax = Self.bytesMax

    /// Checks all logs once.
    func rotate() {
        for path in paths where size(path) > bytesMax {
            do {
                try StackFolder.remove("\(path).1")
                try FileManager.default.copyItem(atPath: path, toPath: "\(path).1")
            } catch {
                // The log is emptied all the same: a full disk is worse than a lost old log.
                writeLine("log \(path) could not be kept: \(error)")
            }
            if truncate(path, 0) != 0 { writeLine("log \(path) could not be emptied: \(systemError())") }
        }
    }

    /// The last lines of a log, for error messages.
    static func tail(_ path: String, lines: Int = 8) -> String {
        let descriptor = open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { return "" }
        defer { close(descriptor) }
        let end = lseek(descriptor, 0, Int32(SEEK_END))
        lseek(descriptor, max(0, end - 8192), Int32(SEEK_SET))
        var bytes = [UInt8](repeating: 0, count: 8192)
        let count = read(descriptor, &bytes, bytes.count)
        let text = String(decoding: bytes.prefix(max(0, count)), as: UTF8.self)
        return text.split(separator: "\n").suffix(lines).joined(separator: "\n")
    }

    private func size(_ path: String) -> Int {
        var information = stat()
        return stat(path, &information) == 0 ? Int(information.st_size) : 0
    }

    private func writeLine(_ text: String) { FileHandles.standardError.write(text + "\n") }
}
