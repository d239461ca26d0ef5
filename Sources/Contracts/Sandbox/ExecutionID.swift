package import FoundationEssentials

/// One run of a program in the sandbox: whoever asks twice with the same id gets one run and one result.
package struct ExecutionID: Hashable, Sendable, CustomStringConvertible {
    package let uuid: UUID

    package init(_ uuid: UUID) {
        self.uuid = uuid
    }

    /// Nil unless `text` is a UUID.
    package init?(_ text: some StringProtocol) {
        guard let id = TaskID(text) else { return nil }
        uuid = id.uuid
    }

    /// Lower case, as it stands in URLs and subjects.
    package var description: String { TaskID(uuid).description }
}

extension JSONReader {
    package mutating func executionID(_ field: String) throws(JSONError) -> ExecutionID {
        guard let id = ExecutionID(try string(field)) else { throw error(field, "must be a UUID") }
        return id
    }
}

/// How a run ended. Decided by what the launcher and the kernel's counts say, never by what the program wrote.
package enum SandboxStatus: String, Sendable, CaseIterable {
    /// The program ended by itself with exit code 0.
    case ok
    /// The program ended by itself with another exit code.
    case error
    /// A signal ended the program.
    case signal
    /// It was stopped because its time was up.
    case timeout
    case cpuLimit = "cpu_limit"
    case memoryLimit = "memory_limit"
    /// It was stopped because it wrote too much.
    case outputLimit = "output_limit"
    case canceled
    /// It could not be run, or the sandbox failed under it; the program is not to blame.
    case sandboxError = "sandbox_error"
}

/// What contains the programs. The raw values stand in results and in `/health`.
package enum SandboxTier: String, Sendable, CaseIterable {
    /// Landlock, seccomp and rlimits: for hosts that allow no namespaces.
    case restricted
    /// Namespaces, cgroups, seccomp, Landlock.
    case namespaces
    /// The whole executor runs inside gVisor or a microVM: that is the outer wall.
    case gvisor
}
