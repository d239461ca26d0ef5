import Postgres
import Storage
import Testing

@Suite(.timeLimit(.minutes(10))) struct `Supervision store` {
    @Test func `a table without what every step writes is told apart`() async throws {
        let database = try await MigrationDatabase.migrated()
        try await database.withPool { pool async throws in
            let store = SupervisionStore(pool: pool, times: SupervisionTimes())
            try await store.checkSchema()
            try await database.takeBack(after: "020_lost_executions.sql")
            await #expect(throws: (any Error).self) { try await store.checkSchema() }
        }
    }
}
