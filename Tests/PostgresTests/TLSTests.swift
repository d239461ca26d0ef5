import Foundation
import Postgres
import TestSupport
import Testing

@Suite(.timeLimit(.minutes(10))) struct TLSTests {
    @Test func `a verified certificate is accepted, any other refused`() async throws {
        let authority = try await TestAuthority.made()
        let stranger = try await TestAuthority.made()
        let identity = try await blocking { try authority.issue("server", names: "DNS:localhost,IP:127.0.0.1") }
        let server = try await TestPostgres.started(
            settings: ["ssl": "on", "ssl_cert_file": "server.pem", "ssl_key_file": "server.key"],
            files: ["server.pem": identity.certificate, "server.key": identity.key],
            access: "hostssl all all 127.0.0.1/32 scram-sha-256"
        )
        func outcome(_ options: String) async throws -> PostgresError? {
            let target = server.connectionString(database: "postgres", options)
            return try await withPool(
                target,
                {
                    $0.acquireTimeout = .seconds(3); $0.maxConnections = 1
                }
            ) { pool in
                await failure { try await pool.execute(UsesTLS()).forEach { #expect($0) } }
            }
        }
        let good = try await outcome("sslmode=verify-full sslrootcert=\(authority.certificate.path)")
        #expect(good == nil)
        let wrong = try await outcome("sslmode=verify-full sslrootcert=\(stranger.certificate.path)")
        #expect(wrong?.code == .authenticationFailed)
        let plain = try await outcome("sslmode=disable")
        #expect(plain?.code == .authenticationFailed)
        #expect(plain?.sqlState == "28000")
    }

    struct UsesTLS: PostgresStatement {
        static let sql = "SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()"
        static func row(_ row: borrowing PostgresRow) throws(PostgresError) -> Bool { try row.bool(0) }
    }
}
