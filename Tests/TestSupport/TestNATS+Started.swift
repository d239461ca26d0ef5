/// For tests that run beside others: a server's start and end hold up none of the threads that they share.
extension TestNATS {
    /// Starts the server.
    ///
    /// - Parameter maxPayload: nil for the server's default of 1 MiB.
    public static func started(
        _ binary: String = TestNATS.binaries[0], security: Security = .none, maxPayload: Int? = nil
    ) async throws -> TestNATS {
        try await blocking { try TestNATS(binary, security: security, maxPayload: maxPayload) }
    }

    /// SIGKILL.
    public func crash() async throws { try await blocking { self.kill() } }

    /// Starts it again after `crash`, on the same port and store.
    public func restart() async throws { try await blocking { try self.start() } }

    /// SIGKILL, and starts it again without a stream.
    public func crashAndLoseStore() async throws {
        try await blocking {
            self.kill()
            try self.wipeStore()
            try self.start()
        }
    }
}
