internal import Glibc

/// An advisory lock on a file, held for the life of the process: one supervisor per data folder.
///
/// The kernel drops it when the process dies however it dies, so a crash never leaves a stale lock.
struct FolderLock: ~Copyable {
    private let descriptor: Int32

    /// - Returns: nil when another process holds the lock.
    static func acquire(_ path: String) throws(CLIError) -> FolderLock? {
        let descriptor = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0o600)
        guard descriptor >= 0 else {
            throw CLIError(
                .folderUnusable, "Cannot open \(path): \(systemError()).", next: "Choose another --data folder.")
        }
        guard flock(descriptor, LOCK_EX | LOCK_NB) == 0 else {
            close(descriptor)
            return nil
        }
        return FolderLock(descriptor: descriptor)
    }

    private init(descriptor: Int32) {
        self.descriptor = descriptor
    }

    deinit { close(descriptor) }
}

/// The text of the last system call's error.
func systemError() -> String { String(cString: strerror(errno)) }
