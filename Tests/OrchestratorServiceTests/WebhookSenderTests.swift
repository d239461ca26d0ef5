import AsyncHTTPClient
import Bootstrap
import Contracts
import Foundation
import NIOCore
import NIOHTTP1
import OrchestratorCore
import TestSupport
import Testing

@testable import OrchestratorService

/// One attempt: names, addresses, connections.
@Suite(.serialized, .timeLimit(.minutes(2))) struct WebhookSenderTests {
    private static func post(
        _ url: String, allowed: [String] = ["127.0.0.1"], authority: String? = nil, timeout: Duration = .seconds(5)
    ) async throws -> WebhookSender.Reply {
        let settings = ServiceConfiguration(environment: authority.map { ["GOLDEN_WEBHOOK_CA": $0] } ?? [:])
        let sender = WebhookSender(
            resolver: HostResolver(),
            clients: PinnedClients(authorities: try WebhookConfiguration(settings).authorities),
            addresses: try #require(AddressRules(allowed: allowed)), timeout: timeout
        )
        sender.resolver.start()
        let reply = try await sender.post(
            [1], to: try #require(WebhookURL(url)), for: TenantID(literal: "acme"), headers: [("x-a", "b")], attempt: 1)
        try await sender.clients.shutdown()
        try await sender.resolver.shutdown()
        return reply
    }

    @Test func `a client goes to the address that was checked, whatever its name resolves to`() async throws {
        try await WebhookReceiver.run { receiver in
            let clients = PinnedClients()
            // No resolver knows this name, so that only the pinned address can have been used.
            let key = PinnedClients.Key(host: "nowhere.invalid", address: try #require(IPAddress("127.0.0.1")))
            let status = try await clients.with(key) { client in
                try await client.execute(
                    .init(url: "http://nowhere.invalid:\(receiver.port)/hook"), timeout: .seconds(5)
                ).status.code
            }
            #expect(status == 204)
            #expect(receiver.received.first?.headers["host"] == "nowhere.invalid:\(receiver.port)")
            try await clients.shutdown()
        }
    }

    @Test func `a host that is allowed by name is reached by name`() async throws {
        try await WebhookReceiver.run { receiver in
            let url = "http://localhost:\(receiver.port)/x?y=1"
            let refused = try await Self.post(url, allowed: [])
            #expect(refused.outcome == .forbiddenAddress)
            #expect(receiver.received.isEmpty)
            let reply = try await Self.post(url, allowed: ["localhost"])
            #expect(reply.outcome == .answered(status: 204, retryAfterSeconds: nil))
            let received = try #require(receiver.received.first)
            #expect(received.path == "/x?y=1" && received.headers["x-a"] == "b")
            #expect(received.headers["content-type"] == "application/json")
        }
    }

    @Test func `a closed port and an unknown name are unreachable`() async throws {
        let port = try await WebhookReceiver.run { $0.port }
        #expect(try await Self.post("http://127.0.0.1:\(port)/").outcome == .unreachable(.notConnected))
        #expect(try await Self.post("http://nowhere.invalid/").outcome == .unreachable(.unresolved))
    }

    @Test func `an answer that breaks off after its head has said enough`() async throws {
        try await WebhookReceiver.run { _ in
            .endless(mebibytes: 40)
        } _: { receiver in
            let reply = try await Self.post(receiver.url)
            #expect(reply.outcome == .answered(status: 200, retryAfterSeconds: nil))
            #expect(reply.response == String(repeating: "x", count: WebhookSender.keptCharactersMax))
        }
    }

    /// Tells its port, then each name that a client's handshake asks for.
    private static let server = """
        import socket, ssl, sys
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(sys.argv[1], sys.argv[2])
        context.sni_callback = lambda s, name, c: print(name, flush=True)
        # "localhost" may be either.
        if socket.has_dualstack_ipv6():
            listener = socket.create_server(("::", 0), family=socket.AF_INET6, dualstack_ipv6=True)
        else:
            listener = socket.create_server(("127.0.0.1", 0))
        print(listener.getsockname()[1], flush=True)
        while True:
            connection, _ = listener.accept()
            try:
                with context.wrap_socket(connection, server_side=True) as secure:
                    print(secure.recv(1000).split(b"\\r\\n")[0], flush=True)
                    secure.sendall(b"HTTP/1.1 204 No Content\\r\\nConnection: close\\r\\n\\r\\n")
            except OSError:
                pass
        """

    @Test func `a certificate of one's own authority is trusted, for its name and no other`() async throws {
        let authority = try await TestAuthority.made()
        let identity = try authority.issue("receiver", names: "DNS:localhost")
        let program = try await PythonProgram(
            ["-c", Self.server, identity.certificate.path, identity.key.path])
        let port = try #require(program.lines.first)
        let trusted = authority.certificate.path
        // As a delivery is: until it is answered.
        try await eventually {
            let reply = try await Self.post("https://localhost:\(port)/x", allowed: ["localhost"], authority: trusted)
            return reply.outcome == .answered(status: 204, retryAfterSeconds: nil)
        }
        try await eventually { program.lines.contains { $0.contains("POST /x") } }
        let other = try await Self.post("https://127.0.0.1:\(port)/y", authority: trusted)
        #expect(other.outcome == .unreachable(.tlsFailed), "\(other)")
        let stranger = try await TestAuthority.made()
        let refused = try await Self.post(
            "https://localhost:\(port)/z", allowed: ["localhost"], authority: stranger.certificate.path)
        #expect(refused.outcome == .unreachable(.tlsFailed), "\(refused)")
        #expect(!program.lines.contains { $0.contains("/y") || $0.contains("/z") })
        for file in [identity.key.path, "/no/such/file"] {
            let settings = ServiceConfiguration(environment: ["GOLDEN_WEBHOOK_CA": file])
            #expect(throws: BootstrapError.self) { try WebhookConfiguration(settings) }
        }
        withExtendedLifetime((authority, stranger)) {}
    }

    @Test func `a certificate nobody vouches for is refused, and the handshake names the host`() async throws {
        let authority = try await TestAuthority.made()
        let identity = try authority.issue("receiver", names: "DNS:localhost")
        let program = try await PythonProgram(
            ["-c", Self.server, identity.certificate.path, identity.key.path])
        let port = try #require(program.lines.first)
        let reply = try await Self.post("https://localhost:\(port)/", allowed: ["localhost"])
        #expect(reply.outcome == .unreachable(.tlsFailed))
        try await eventually { program.lines.contains("localhost") }
        #expect(!program.lines.contains { $0.contains("POST") })
        withExtendedLifetime(authority) {}
    }
}
