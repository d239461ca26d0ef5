internal import FoundationEssentials
internal import Glibc

/// The gate's files: read with a bound, replaced whole, and private where they hold keys.
enum GateFiles {
    /// No file that the gate reads is larger.
    static let bytesMax = 64 << 20
    private static let chunkBytes = 1 << 16

    static func read(_ path: String) throws(GateError) -> [UInt8] {
        let descriptor = open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { throw GateError(.fileUnusable, "Cannot read \(path): \(lastError()).") }
        defer { close(descriptor) }
        var bytes: [UInt8] = []
        var chunk = [UInt8](repeating: 0, count: chunkBytes)
        while true {
            let count = Glibc.read(descriptor, &chunk, chunk.count)
            if count < 0, errno == EINTR { continue }
            guard count >= 0 else { throw GateError(.fileUnusable, "Cannot read \(path): \(lastError()).") }
            if count == 0 { return bytes }
            guard bytes.count + count <= bytesMax else {
                throw GateError(.fileUnusable, "\(path) is larger than \(bytesMax) bytes.")
            }
            bytes += chunk.prefix(count)
        }
    }

    static func text(_ path: String) throws(GateError) -> String {
        guard let text = String(validating: try read(path), as: UTF8.self) else {
            throw GateError(.invalid, "\(path) is not UTF-8.")
        }
        return text
    }

    static func exists(_ path: String) -> Bool { access(path, F_OK) == 0 }

    static func isFolder(_ path: String) -> Bool {
        let descriptor = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        guard descriptor >= 0 else { return false }
        close(descriptor)
        return true
    }

    /// The names in a folder, sorted; none when there is no such folder.
    static func names(in folder: String) throws(GateError) -> [String] {
        guard exists(folder) else { return [] }
        do {
            return try FileManager.default.contentsOfDirectory(atPath: folder).sorted()
        } catch {
            throw GateError(.fileUnusable, "Cannot list \(folder).", underlying: error)
        }
    }

    static func makeFolder(_ path: String) throws(GateError) {
        do {
            try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
        } catch {
            throw GateError(.fileUnusable, "Cannot create the folder \(path).", underlying: error)
        }
    }

    /// Replaces the file: readers, and whoever starts after a crash, see the old one or the new one, never a part.
    static func replace(_ path: String, with bytes: some Sequence<UInt8>, mode: mode_t = 0o644) throws(GateError) {
        let draft = "\(path).\(getpid()).new"
        unlink(draft)
        try create(draft, bytes, mode: mode)
        guard rename(draft, path) == 0 else {
            let reason = lastError()
            unlink(draft)
            throw GateError(.fileUnusable, "Cannot replace \(path): \(reason).")
        }
    }

    /// Writes a file that must not exist yet.
    static func create(_ path: String, _ bytes: some Sequence<UInt8>, mode: mode_t = 0o644) throws(GateError) {
        let descriptor = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode)
        guard descriptor >= 0 else {
            if errno == EEXIST { throw GateError(.invalid, "\(path) exists already; it was left as it is.") }
            throw GateError(.fileUnusable, "Cannot write \(path): \(lastError()).")
        }
        defer { close(descriptor) }
        try write(Array(bytes), to: descriptor, path)
        guard fsync(descriptor) == 0 else { throw GateError(.fileUnusable, "Cannot store \(path): \(lastError()).") }
    }

    /// Adds to the end of a file and waits until that is stored.
    static func append(_ path: String, _ bytes: some Sequence<UInt8>) throws(GateError) {
        let descriptor = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0o644)
        guard descriptor >= 0 else { throw GateError(.fileUnusable, "Cannot write \(path): \(lastError()).") }
        defer { close(descriptor) }
        try write(Array(bytes), to: descriptor, path)
        guard fsync(descriptor) == 0 else { throw GateError(.fileUnusable, "Cannot store \(path): \(lastError()).") }
    }

    /// The permission bits.
    static func mode(of path: String) throws(GateError) -> Int {
        let attributes: [FileAttributeKey: Any]
        do { attributes = try FileManager.default.attributesOfItem(atPath: path) } catch {
            throw GateError(.fileUnusable, "Cannot read the mode of \(path).", underlying: error)
        }
        // A number, in one of several boxes.
        guard let mode = attributes[.posixPermissions].flatMap({ Int("\($0)") }) else {
            throw GateError(.fileUnusable, "The mode of \(path) is not known.")
        }
        return mode & 0o777
    }

    private static func write(_ bytes: [UInt8], to descriptor: Int32, _ path: String) throws(GateError) {
        var rest = bytes[...]
        while !rest.isEmpty {
            let count = Array(rest).withUnsafeBytes { unsafe Glibc.write(descriptor, $0.baseAddress, $0.count) }
            if count < 0, errno == EINTR { continue }
            guard count > 0 else { throw GateError(.fileUnusable, "Cannot write \(path): \(lastError()).") }
            rest = rest.dropFirst(count)
        }
    }

    private static func lastError() -> String { String(cString: strerror(errno)) }
}

/// One process at a time holds it; the kernel gives it back when that process ends, however it ends.
struct FileLock: ~Copyable {
    private let descriptor: Int32

    /// - Parameter waits: for whoever has it, who must not keep it long.
    /// - Throws: when another process has it and nobody waits.
    init(_ path: String, what: String, waits: Bool = false) throws(GateError) {
        descriptor = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0o644)
        guard descriptor >= 0 else {
            throw GateError(.fileUnusable, "Cannot open \(path): \(String(cString: strerror(errno))).")
        }
        guard flock(descriptor, waits ? LOCK_EX : LOCK_EX | LOCK_NB) == 0 else {
            close(descriptor)
            throw GateError(.refused, "Another process is at \(what).", next: "Wait for it, or stop it.")
        }
    }

    deinit { close(descriptor) }
}
