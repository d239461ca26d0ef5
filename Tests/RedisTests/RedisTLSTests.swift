import Foundation
import Redis
import TestSupport
import Testing

@Suite(.timeLimit(.minutes(3))) struct RedisTLSTests {
    private func secure(
        _ server: TestRedis, authority: TestAuthority, name: String? = nil
    ) throws -> RedisConfiguration {
        var secure = configuration(server)
        secure.port = try #require(server.tlsPort)
        secure.tls = RedisTLS(authorityFile: authority.certificate.path, serverName: name)
        return secure
    }

    @Test(arguments: [nil, "localhost", "127.0.0.1"])
    func `a server signed by the own authority is trusted by name and by address`(name: String?) async throws {
        let authority = try await TestAuthority.made()
        let server = try await TestRedis.started(authority: authority)
        try await withConnection(try secure(server, authority: authority, name: name)) { redis in
            let big = [UInt8](repeating: 5, count: 3_000_000)
            _ = try await redis.command(["SET", "big", .bytes(big)])
            try await withThrowingTaskGroup(of: Void.self) { group in
                for index in 0..<256 {
                    group.addTask {
                        if index % 64 == 0 {
                            try await #expect(redis.command(["GET", "big"]) == .bytes(big))
                        } else {
                            try await #expect(redis.command(["ECHO", .text("\(index)")]).text == "\(index)")
                        }
                    }
                }
                try await group.waitForAll()
            }
        }
    }

    @Test func `a server signed by another authority is refused before the password is sent`() async throws {
        let server = try await TestRedis.started(authority: try await TestAuthority.made())
        let recorder = LogRecorder()
        let stranger = try await TestAuthority.made()
        let untrusted = try secure(server, authority: stranger)
        try await withConnection(untrusted, logger: recorder.logger, connected: false) { redis in
            let cause = await wait(redis) { $0.cause != nil }?.cause
            #expect(cause?.code == .connectFailed)
            #expect(cause?.message.contains("not trusted") == true, "\(cause?.message ?? "")")
        }
        #expect(recorder.all.count == 1)
        withExtendedLifetime(stranger) {}
    }

    @Test func `a server of another name is refused`() async throws {
        let authority = try await TestAuthority.made()
        let server = try await TestRedis.started(authority: authority)
        for name in ["redis.example", "127.0.0.2"] {
            let other = try secure(server, authority: authority, name: name)
            try await withConnection(other, connected: false) { redis in
                let cause = await wait(redis) { $0.cause != nil }?.cause
                #expect(cause?.code == .connectFailed)
                #expect(cause?.message.contains("mismatch") == true, "\(cause?.message ?? "")")
            }
        }
    }

    @Test func `a plain server is refused when TLS is wanted, and the other way round`() async throws {
        let authority = try await TestAuthority.made()
        let server = try await TestRedis.started(authority: authority)
        var toPlain = try secure(server, authority: authority)
        toPlain.port = server.port
        var toTLS = configuration(server)
        toTLS.port = try #require(server.tlsPort)
        toPlain.connectTimeout = .milliseconds(500)
        toTLS.connectTimeout = .milliseconds(500)
        for wrong in [toPlain, toTLS] {
            try await withConnection(wrong, connected: false) { redis in
                let cause = await wait(redis) { $0.cause != nil }?.cause
                #expect(cause?.code == .connectFailed || cause?.code == .disconnected)
                #expect(!redis.isConnected)
            }
        }
    }

    @Test func `a client certificate opens a server that asks for one`() async throws {
        let authority = try await TestAuthority.made()
        let server = try await TestRedis.started(authority: authority)
        try await withConnection(configuration(server)) { redis in
            _ = try await redis.command(["CONFIG", "SET", "tls-auth-clients", "yes"])
        }
        let bare = try secure(server, authority: authority)
        try await withConnection(bare, connected: false) { redis in
            await #expect(wait(redis) { $0.cause != nil }?.cause?.code == .connectFailed)
        }
        let identity = try authority.issue("client", names: "DNS:client")
        var known = bare
        known.tls?.certificateFile = identity.certificate.path
        known.tls?.keyFile = identity.key.path
        try await withConnection(known) { redis in
            try await #expect(redis.command(["PING"]) == .status("PONG"))
        }
    }

    @Test func `an authority file that is missing is told, and read again once it is there`() async throws {
        let authority = try await TestAuthority.made()
        let server = try await TestRedis.started(authority: authority)
        let folder = try temporaryFolder("late")
        defer { try? FileManager.default.removeItem(at: folder) }
        let late = folder.appending(path: "ca.pem")
        var configuration = try secure(server, authority: authority)
        configuration.tls?.authorityFile = late.path
        try await withConnection(configuration, connected: false) { redis in
            await #expect(wait(redis) { $0.cause != nil }?.cause?.code == .connectFailed)
            try FileManager.default.copyItem(at: authority.certificate, to: late)
            try await redis.waitUntilConnected(within: patience)
        }
    }

    @Test func `a TLS server killed and restarted is found again`() async throws {
        let authority = try await TestAuthority.made()
        let server = try await TestRedis.started(authority: authority)
        try await withConnection(try secure(server, authority: authority)) { redis in
            try await server.kill()
            await wait(redis) { $0.isDisconnected }
            try await server.start()
            try await redis.waitUntilConnected(within: patience)
            try await #expect(redis.command(["PING"]) == .status("PONG"))
        }
    }
}
