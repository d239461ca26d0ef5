internal import Glibc

/// Standard output or standard error. What must not be lost on them goes through `Results`.
struct FileHandles: Sendable {
    static let standardOutput = FileHandles(descriptor: 1)
    static let standardError = FileHandles(descriptor: 2)

    let descriptor: Int32

    var isTerminal: Bool { isatty(descriptor) == 1 }

    /// Columns of the terminal, 80 when that is unknown.
    var columns: Int {
        var size = winsize()
        guard ioctl(descriptor, UInt(TIOCGWINSZ), &size) == 0, size.ws_col > 0 else { return 80 }
        return Int(size.ws_col)
    }

    func write(_ text: String) { write(Array(text.utf8)) }

    /// Writes what it can without waiting. What it cannot is lost: nobody stops because a message was not read.
    func write(_ bytes: [UInt8]) { _ = send(bytes, waits: false) }

    /// Writes everything, however long its reader takes.
    /// - Returns: the error number of what kept it from that; nil when everything was written.
    func writeAll(_ bytes: [UInt8]) -> Int32? { send(bytes, waits: true) }

    private func send(_ bytes: [UInt8], waits: Bool) -> Int32? {
        var bytes = bytes[...]
        while !bytes.isEmpty {
            let count = bytes.withUnsafeBytes { Glibc.write(descriptor, $0.baseAddress, $0.count) }
            if count > 0 {
                bytes = bytes.dropFirst(count)
                continue
            }
            let number = count < 0 ? errno : EIO
            if number == EINTR { continue }
            guard waits, number == EAGAIN else { return number }
            var full = pollfd(fd: descriptor, events: Int16(POLLOUT), revents: 0)
            _ = poll(&full, 1, -1)
        }
        return nil
    }

    /// Reads a file, or standard input for nil, up to `bytesMax`; nil when it cannot be read.
    static func read(_ path: String?, bytesMax: Int) -> [UInt8]? {
        let descriptor = path.map { open($0, O_RDONLY | O_CLOEXEC) } ?? 0
        guard descriptor >= 0 else { return nil }
        defer { if descriptor > 0 { close(descriptor) } }
        var bytes: [UInt8] = []
        var chunk = [UInt8](repeating: 0, count: 65_536)
        while bytes.count < bytesMax {
            let count = Glibc.read(descriptor, &chunk, min(chunk.count, bytesMax - bytes.count))
            if count < 0, errno == EINTR { continue }
            guard count >= 0 else { return nil }
            if count == 0 { break }
            bytes += chunk.prefix(count)
        }
        return bytes
    }

    /// Makes a file, readable by this account only, that is not there yet.
    /// - Returns: the error number of what kept it from being whole; nil when it is.
    static func create(_ path: String, _ bytes: [UInt8], isSynced: Bool) -> Int32? {
        let file = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0o600)
        guard file >= 0 else { return errno }
        defer { close(file) }
        return FileHandles(descriptor: file).writeAll(bytes) ?? (isSynced ? sync(file) : nil)
    }

    /// Forces to disk which files a folder holds.
    /// - Returns: the error number of what kept it from that; nil when it is done.
    static func syncFolder(_ path: String) -> Int32? {
        let folder = open(path, O_RDONLY | O_CLOEXEC)
        guard folder >= 0 else { return errno }
        defer { close(folder) }
        return sync(folder)
    }

    /// There are file systems that know no such thing.
    private static func sync(_ descriptor: Int32) -> Int32? {
        if fsync(descriptor) == 0 { return nil }
        return errno == EINVAL ? nil : errno
    }

    /// Adds to the end of a file, which is made when it is not there.
    static func append(_ text: String, to path: String) {
        let file = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0o600)
        guard file >= 0 else { return }
        FileHandles(descriptor: file).write(text)
        close(file)
    }

    /// Sends what is written from now on to the end of a file.
    func redirect(to path: String) {
        let file = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0o600)
        guard file >= 0 else { return }
        dup2(file, descriptor)
        close(file)
    }
}
