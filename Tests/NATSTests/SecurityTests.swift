import Foundation
import NATS
import TestSupport
import Testing

extension NATSTests {
    @Suite struct SecurityTests {
        @Test(arguments: TestNATS.binaries)
        func `a wrong password is refused at once and is not tried again`(_ binary: String) async throws {
            let server = try TestNATS(binary, security: .user("golden", password: "right"))
            var settings = configuration(server)
            settings.credentials = .userPassword(user: "golden", password: "wrong")
            do throws(NATSError) {
                let start = ContinuousClock.now
                do throws(NATSError) {
                    _ = try await NATSConnection.connect(settings, logger: quiet)
                    Issue.record("It was let in.")
                } catch {
                    #expect(start.duration(to: .now) < .seconds(3))
                    throw error
                }
            } catch {
                #expect(error.code == .authenticationFailed)
                #expect(!error.description.contains("wrong"))
            }
            settings.credentials = .userPassword(user: "golden", password: "right")
            let connection = try await NATSConnection.connect(settings, logger: quiet)
            #expect(try await connection.roundTripTime() > .zero)
            await connection.shutdown(within: .seconds(1))
        }

        @Test(arguments: TestNATS.binaries)
        func `a password in the URL is never shown`(_ binary: String) async throws {
            let server = try TestNATS(binary, security: .user("golden", password: "s3cret"))
            var settings = configuration(server)
            settings.servers = ["nats://golden:s3cret@127.0.0.1:\(server.port)"]
            let connection = try await NATSConnection.connect(settings, logger: quiet)
            try await connection.waitUntilConnected()
            #expect(connection.state == .connected(server: server.url, reconnectCount: 0))
            await connection.shutdown(within: .seconds(1))
        }

        @Test(arguments: TestNATS.binaries)
        func `TLS works with the right authority only`(_ binary: String) async throws {
            let authority = try TestAuthority()
            let stranger = try TestAuthority()
            let certificate = try authority.issue(for: "127.0.0.1")
            let server = try TestNATS(
                binary, security: .tls(certificate: certificate.certificate, key: certificate.key)
            )
            var settings = configuration(server)
            settings.tls = NATSTLS(caFile: authority.certificate)
            let connection = try await NATSConnection.connect(settings, logger: quiet)
            try await connection.makeStream("WORK")
            #expect(try await connection.publishToStream("WORK.a", payload: bytes("secret")).sequence == 1)
            await connection.shutdown(within: .seconds(1))

            settings.tls = NATSTLS(caFile: stranger.certificate)
            #expect(await failure { _ = try await NATSConnection.connect(settings, logger: quiet) }.code == .tlsFailed)
            settings.tls = NATSTLS(caFile: "/nowhere.pem")
            let missing = await failure { _ = try await NATSConnection.connect(settings, logger: quiet) }
            #expect(missing.code == .invalidConfiguration)
            settings.tls = NATSTLS(caFile: authority.certificate, certificateFile: certificate.certificate)
            let half = await failure { _ = try await NATSConnection.connect(settings, logger: quiet) }
            #expect(half.code == .invalidConfiguration)
        }

        @Test(arguments: TestNATS.binaries)
        func `TLS refuses a certificate for another host`(_ binary: String) async throws {
            let authority = try TestAuthority()
            let certificate = try authority.issue(for: "10.9.8.7")
            let server = try TestNATS(
                binary, security: .tls(certificate: certificate.certificate, key: certificate.key)
            )
            var settings = configuration(server)
            settings.tls = NATSTLS(caFile: authority.certificate)
            #expect(await failure { _ = try await NATSConnection.connect(settings, logger: quiet) }.code == .tlsFailed)
        }

        @Test(arguments: TestNATS.binaries)
        func `TLS survives a killed server`(_ binary: String) async throws {
            let authority = try TestAuthority()
            let certificate = try authority.issue(for: "127.0.0.1")
            let server = try TestNATS(
                binary, security: .tls(certificate: certificate.certificate, key: certificate.key)
            )
            var settings = configuration(server)
            settings.tls = NATSTLS(caFile: authority.certificate)
            let connection = try await NATSConnection.connect(settings, logger: quiet)
            server.kill()
            try await connection.waitUntilDisconnected()
            try server.start()
            try await connection.waitUntilConnected()
            #expect(try await connection.roundTripTime() > .zero)
            await connection.shutdown(within: .seconds(1))
        }

        @Test func `nobody there is a clear error`() async throws {
            var settings = NATSConfiguration(servers: ["nats://127.0.0.1:\(freePort())"], name: "tests")
            settings.connectTimeout = .milliseconds(500)
            let result = await failure { _ = try await NATSConnection.connect(settings, logger: quiet) }
            #expect(result.code == .connectFailed)
            settings.servers = []
            #expect(
                await failure { _ = try await NATSConnection.connect(settings, logger: quiet) }.code
                    == .invalidConfiguration
            )
        }
    }
}

/// A certificate authority of the test's own.
final class TestAuthority {
    private let folder: URL

    init() throws {
        folder = try temporaryFolder("authority")
        try openssl(
            "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=Test Authority",
            "-keyout", path("ca.key"), "-out", path("ca.pem")
        )
    }

    deinit { try? FileManager.default.removeItem(at: folder) }

    var certificate: String { path("ca.pem") }

    func issue(for address: String) throws -> (certificate: String, key: String) {
        try Data("subjectAltName=IP:\(address)\n".utf8).write(to: URL(filePath: path("names.cnf")))
        try openssl(
            "req", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=\(address)",
            "-keyout", path("server.key"), "-out", path("server.csr")
        )
        try openssl(
            "x509", "-req", "-days", "2", "-in", path("server.csr"), "-CA", path("ca.pem"), "-CAkey", path("ca.key"),
            "-CAcreateserial", "-extfile", path("names.cnf"), "-out", path("server.pem")
        )
        return (path("server.pem"), path("server.key"))
    }

    private func path(_ name: String) -> String { folder.appending(path: name).path }

    private func openssl(_ arguments: String...) throws {
        let process = Process()
        process.executableURL = URL(filePath: "/usr/bin/env")
        process.arguments = ["openssl"] + arguments
        process.standardOutput = FileHandle.nullDevice
        process.standardError = FileHandle.nullDevice
        try Spawner.shared.start(process)
        Spawner.shared.wait(for: process)
        guard process.terminationStatus == 0 else { throw Failure("openssl \(arguments[0]) failed.") }
    }
}
