import TestSupport

extension TestPostgres {
    /// Holds locked in a database what a statement locks while `body` runs, however long that takes, or until it has it
    /// released; what the statement changed is undone.
    ///
    /// - Parameter first: statements that the same session commits before.
    func holding(
        _ statement: String, in database: String, after first: String = "",
        _ body: (_ release: () async throws -> Void) async throws -> Void
    ) async throws {
        let holder = """
            FROM pg_stat_activity
            WHERE query LIKE '%pg_sleep(600)%' AND pid <> pg_backend_pid() AND datname = current_database()
            """
        func release() async throws {
            try await sql("SELECT pg_terminate_backend(pid) \(holder)", database: database)
        }
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask {
                let hold = "BEGIN; \(first); COMMIT; BEGIN; \(statement); SELECT pg_sleep(600)"
                // Its session is ended by `release`.
                do { try await self.sql(hold, database: database) } catch is ServerProcess.Failure {}
            }
            var failure: (any Error)?
            do {
                try await eventually {
                    try await sql("SELECT count(*) \(holder) AND wait_event = 'PgSleep'", database: database) == "1"
                }
                try await body(release)
            } catch { failure = error }
            try await release()
            try await group.waitForAll()
            if let failure { throw failure }
        }
    }
}
