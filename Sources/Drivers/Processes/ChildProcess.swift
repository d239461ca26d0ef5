internal import CLinux
internal import Glibc
internal import Synchronization

/// A program that this process started, with exactly the descriptors it was given.
package final class ChildProcess: Sendable {
    /// POSIX_SPAWN_SETSID: a session of its own, so that no terminal's signal reaches it.
    private static let setSession: Int16 = 0x80
    /// Where the descriptors wait for their places, above every number a child is given.
    private static let waitingRoom: Int32 = 256

    package let pid: Int32
    /// Readable once it has ended.
    package let ended: Descriptor
    private let status = Mutex<Int32?>(nil)

    /// Starts a program with an empty environment unless one is given.
    ///
    /// - Parameter descriptors: which of ours becomes which number there. All others are closed on exec.
    package init(
        _ path: String, arguments: [String], environment: [String] = [],
        descriptors: [(ours: Descriptor, theirs: Int32)]
    ) throws(ProcessError) {
        var actions = unsafe posix_spawn_file_actions_t()
        var attributes = posix_spawnattr_t()
        unsafe posix_spawn_file_actions_init(&actions)
        unsafe posix_spawnattr_init(&attributes)
        defer {
            unsafe posix_spawn_file_actions_destroy(&actions)
            unsafe posix_spawnattr_destroy(&attributes)
        }
        // Moved out of each other's way first, so that no dup2 closes what a later one needs.
        var moved: [Descriptor] = []
        for (ours, theirs) in descriptors {
            let copy = Descriptor(linux_duplicate(ours.number, Self.waitingRoom))
            guard copy.number >= 0 else { throw ProcessError(.spawn, "A descriptor cannot be handed on.", errno) }
            moved.append(copy)
            unsafe posix_spawn_file_actions_adddup2(&actions, copy.number, theirs)
        }
        var none = sigset_t()
        var all = sigset_t()
        unsafe sigemptyset(&none)
        unsafe sigfillset(&all)
        unsafe posix_spawnattr_setsigmask(&attributes, &none)
        unsafe posix_spawnattr_setsigdefault(&attributes, &all)
        let flags = Int16(POSIX_SPAWN_SETSIGMASK) | Int16(POSIX_SPAWN_SETSIGDEF) | Self.setSession
        unsafe posix_spawnattr_setflags(&attributes, flags)
        var pid: Int32 = -1
        let code = unsafe Self.withCStrings([path] + arguments) { argv in
            unsafe Self.withCStrings(environment) { envp in
                unsafe posix_spawn(&pid, path, &actions, &attributes, argv, envp)
            }
        }
        guard code == 0 else { throw ProcessError(.spawn, "\(path) cannot be started.", code) }
        self.pid = pid
        ended = Descriptor(linux_process_descriptor(pid))
        guard ended.number >= 0 else {
            let error = ProcessError(.spawn, "A child cannot be watched.", errno)
            Glibc.kill(pid, SIGKILL)
            wait()
            throw error
        }
    }

    deinit {
        kill(SIGKILL)
        wait()
    }

    /// Does nothing once it was waited for.
    package func kill(_ signal: Int32) {
        status.withLock { status in
            if status == nil { Glibc.kill(pid, signal) }
        }
    }

    /// Kills a process that is no child of ours, such as one that a control group still holds.
    package static func killForeign(_ pid: Int32) { Glibc.kill(pid, SIGKILL) }

    package func terminate() { kill(SIGTERM) }

    package func kill() { kill(SIGKILL) }

    /// Waits until it has ended; its exit code, or 128 and the number of the signal that ended it. Idempotent.
    @discardableResult
    package func wait() -> Int32 {
        status.withLock { status in
            if let status { return status }
            var raw: Int32 = 0
            while unsafe waitpid(pid, &raw, 0) < 0 && errno == EINTR {}
            let code = raw & 0x7F == 0 ? (raw >> 8) & 0xFF : 128 + (raw & 0x7F)
            status = code
            return code
        }
    }

    private static func withCStrings<Result>(
        _ texts: [String], _ body: (UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>) -> Result
    ) -> Result {
        var pointers: [UnsafeMutablePointer<CChar>?] = unsafe texts.map { unsafe strdup($0) }
        unsafe pointers.append(nil)
        defer { unsafe pointers.forEach { unsafe free($0) } }
        return unsafe pointers.withUnsafeMutableBufferPointer { buffer in
            guard let base = buffer.baseAddress else { preconditionFailure("An array with an element has an address.") }
            return unsafe body(base)
        }
    }
}
