internal import Postgres

extension PostgresPool {
    /// Connects, hands the pool to `body`, and closes it: at once after an error, else when what is under way has ended
    /// or `grace` is over.
    func serving<Result: Sendable>(
        within grace: Duration, _ body: @Sendable @escaping (PostgresPool) async throws -> Result
    ) async throws -> Result {
        try await withThrowingTaskGroup(of: Result?.self) { group in
            group.addTask {
                try await self.run()
                return nil
            }
            group.addTask {
                do {
                    let result = try await body(self)
                    await self.shutdown(within: grace)
                    return result
                } catch {
                    await self.shutdown(within: .zero)
                    throw error
                }
            }
            for try await result in group { if let result { return result } }
            throw GateError(.storeFailed, "The database's connections ended.")
        }
    }
}
