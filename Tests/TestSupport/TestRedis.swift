public import Foundation

/// A real redis-server for one test: its own port, password, folder and, on request, TLS.
public final class TestRedis: Sendable {
    public static let password = "only-for-this-test"

    public let port: Int
    /// Set when the server speaks TLS on `tlsPort`.
    public let authority: TestAuthority?
    public let tlsPort: Int?
    private let server: ServerProcess
    /// Removed with the server.
    public let folder: URL

    /// Starts a server and waits until it accepts connections.
    ///
    /// - Parameter authority: signs the server's certificate when TLS is wanted.
    public static func started(authority: TestAuthority? = nil) async throws -> TestRedis {
        try await blocking {
            let redis = try TestRedis(authority: authority)
            try redis.startAndWait()
            return redis
        }
    }

    private init(authority: TestAuthority?) throws {
        folder = try temporaryFolder("redis")
        port = freePort()
        self.authority = authority
        var arguments = [
            "--bind", "127.0.0.1", "--port", "\(port)", "--requirepass", Self.password, "--save", "",
            "--appendonly", "no", "--dir", folder.path, "--daemonize", "no",
        ]
        if let authority {
            let port = freePort()
            let identity = try authority.issue("server", names: "DNS:localhost,IP:127.0.0.1")
            arguments += [
                "--tls-port", "\(port)", "--tls-cert-file", identity.certificate.path, "--tls-key-file",
                identity.key.path, "--tls-ca-cert-file", authority.certificate.path, "--tls-auth-clients", "optional",
            ]
            tlsPort = port
        } else {
            tlsPort = nil
        }
        server = ServerProcess("/usr/bin/redis-server", arguments, logFile: folder.appending(path: "redis.log"))
    }

    deinit {
        server.kill()
        // A folder that stays behind below the temporary one harms no later test.
        try? FileManager.default.removeItem(at: folder)
    }

    /// Starts the server again after `kill`.
    public func start() async throws { try await blocking { try self.startAndWait() } }

    private func startAndWait() throws {
        let port = self.port
        let tlsPort = self.tlsPort
        try server.start { accepts(port: port) && tlsPort.map { accepts(port: $0) } ?? true }
    }

    /// SIGKILL: nothing is saved, so the next start is empty and knows no script.
    public func kill() async throws { try await blocking { self.server.kill() } }

    /// SIGSTOP: the server keeps its sockets and answers nothing.
    public func pause() { server.pause() }
    public func resume() { server.resume() }
}

/// A certificate authority of a test's own, made with the `openssl` command.
public final class TestAuthority: Sendable {
    /// PEM files of a certificate and its key.
    public struct Identity: Sendable {
        public let certificate: URL
        public let key: URL
    }

    public let certificate: URL
    private let key: URL
    /// Removed with the server.
    public let folder: URL

    public static func made() async throws -> TestAuthority { try await blocking { try TestAuthority() } }

    private init() throws {
        folder = try temporaryFolder("authority")
        certificate = folder.appending(path: "ca.pem")
        key = folder.appending(path: "ca.key")
        try Self.openssl([
            "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2",
            "-subj", "/CN=Test Authority", "-keyout", key.path, "-out", certificate.path,
        ])
    }

    deinit {
        // As above: a folder that stays behind harms nothing.
        try? FileManager.default.removeItem(at: folder)
    }

    /// A certificate for `names`, written as OpenSSL's subjectAltName: `DNS:localhost,IP:127.0.0.1`.
    public func issue(_ file: String, names: String) throws -> Identity {
        let identity = Identity(
            certificate: folder.appending(path: "\(file).pem"), key: folder.appending(path: "\(file).key")
        )
        let request = folder.appending(path: "\(file).csr")
        let extensions = folder.appending(path: "\(file).ext")
        try Data("subjectAltName=\(names)\n".utf8).write(to: extensions)
        try Self.openssl([
            "req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj", "/CN=\(file)",
            "-keyout", identity.key.path, "-out", request.path,
        ])
        try Self.openssl([
            "x509", "-req", "-in", request.path, "-CA", certificate.path, "-CAkey", key.path, "-CAcreateserial",
            "-days", "2", "-extfile", extensions.path, "-out", identity.certificate.path,
        ])
        return identity
    }

    private static func openssl(_ arguments: [String]) throws {
        let process = Process()
        process.executableURL = URL(filePath: "/usr/bin/openssl")
        process.arguments = arguments
        let text = try Spawner.shared.output(of: process)
        guard process.terminationStatus == 0 else {
            throw ServerProcess.Failure(description: "openssl \(arguments[0]) failed:\n\(text.suffix(2000))")
        }
    }
}
