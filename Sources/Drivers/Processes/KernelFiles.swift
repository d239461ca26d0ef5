internal import CLinux
internal import Glibc

/// Small files and folders of the kernel's own file systems, each call one system call.
package enum KernelFiles {
    /// What is read of one file at most.
    package static let bytesMax = 1 << 20

    package static func write(_ text: String, to path: String) throws(ProcessError) {
        let descriptor = unsafe open(path, O_WRONLY | O_CLOEXEC)
        guard descriptor >= 0 else { throw ProcessError(.file, "\(path) cannot be opened.", errno) }
        let file = Descriptor(descriptor)
        let bytes = Array(text.utf8)
        guard case .moved(bytes.count) = file.write(bytes[...]) else {
            throw ProcessError(.file, "\(path) does not take \(text).", errno)
        }
    }

    package static func read(_ path: String) throws(ProcessError) -> String {
        let file = try Descriptor.readOnly(path)
        var bytes: [UInt8] = []
        var chunk = [UInt8](repeating: 0, count: 16_384)
        while bytes.count < bytesMax, case .moved(let count) = file.read(into: &chunk) { bytes += chunk.prefix(count) }
        return String(decoding: bytes, as: UTF8.self)
    }

    package static func makeFolder(_ path: String, mode: UInt32 = 0o755) throws(ProcessError) {
        guard unsafe mkdir(path, mode_t(mode)) == 0 else {
            throw ProcessError(.file, "\(path) cannot be made.", errno)
        }
    }

    /// An empty folder or a control group without processes. Quiet when it is gone already.
    package static func removeFolder(_ path: String) throws(ProcessError) {
        guard unsafe rmdir(path) == 0 || errno == ENOENT else {
            throw ProcessError(.file, "\(path) cannot be removed.", errno)
        }
    }

    package static func exists(_ path: String) -> Bool { unsafe access(path, F_OK) == 0 }

    package static func isExecutable(_ path: String) -> Bool { unsafe access(path, X_OK) == 0 }

    /// Names of what is in a folder; empty when there is none.
    package static func list(_ path: String) -> [String] {
        guard let folder = unsafe opendir(path) else { return [] }
        defer { unsafe closedir(folder) }
        var names: [String] = []
        while let entry = unsafe readdir(folder) {
            let name = unsafe withUnsafePointer(to: entry.pointee.d_name) { pointer in
                unsafe pointer.withMemoryRebound(to: CChar.self, capacity: 256) { unsafe String(cString: $0) }
            }
            if name != ".", name != ".." { names.append(name) }
        }
        return names.sorted()
    }

    /// Where a symbolic link points, such as one of `/proc/<pid>/ns/`; nil when it cannot be read.
    package static func link(_ path: String) -> String? {
        var buffer = [CChar](repeating: 0, count: 4096)
        let count = unsafe readlink(path, &buffer, buffer.count - 1)
        guard count >= 0 else { return nil }
        return String(decoding: buffer.prefix(count).map(UInt8.init(bitPattern:)), as: UTF8.self)
    }

    /// Who owns a file and what its mode is; nil when it is not there.
    package static func owner(_ path: String) -> (uid: UInt32, gid: UInt32, mode: UInt32)? {
        var information = stat()
        guard unsafe stat(path, &information) == 0 else { return nil }
        return (information.st_uid, information.st_gid, information.st_mode)
    }

    package static func setOwner(_ path: String, uid: UInt32) throws(ProcessError) {
        guard unsafe chown(path, uid, uid) == 0 else {
            throw ProcessError(.file, "\(path) cannot be given to \(uid).", errno)
        }
    }

    /// Holds this thread up.
    package static func pause(_ duration: Duration) {
        let parts = duration.components
        usleep(UInt32(clamping: parts.seconds * 1_000_000 + parts.attoseconds / 1_000_000_000_000))
    }

    /// The newest version of Landlock that the kernel has; 0 where it has none.
    package static var landlockVersion: Int { max(0, Int(linux_landlock_version())) }

    package static var effectiveUser: UInt32 { geteuid() }

    package static var processID: Int32 { getpid() }

    package static var processors: Int { max(1, Int(sysconf(Int32(_SC_NPROCESSORS_ONLN)))) }

    /// A write to whom nobody reads is an error of that write, not the end of this process.
    package static func ignoreBrokenPipes() { _ = signal(SIGPIPE, SIG_IGN) }
}
