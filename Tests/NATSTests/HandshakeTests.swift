import Foundation
import NATS
import Synchronization
import TestSupport
import Testing

extension NATSTests {
    /// A server that greets and then says nothing: libnats has no bound for that, the driver has.
    @Suite struct HandshakeTests {
        @Test func `a handshake that never ends is given up in time`() async throws {
            let server = try SilentServer(port: freePort())
            defer { server.close() }
            var settings = NATSConfiguration(servers: ["nats://127.0.0.1:\(server.port)"], name: "tests")
            settings.connectTimeout = .milliseconds(200)
            let result = await failure { _ = try await NATSConnection.connect(settings, logger: quiet) }
            #expect(result.code == .connectFailed)
            #expect(result.took < .seconds(5))
        }

        // With one server: the one that hangs is the test's own, whatever it was before.
        @Test func `hanging handshakes do not pile up, and their end lets it reconnect`() async throws {
            let binary = TestNATS.binaries[0]
            try await withServer(binary, adjust: { $0.connectTimeout = .milliseconds(200) }) { connection, server in
                server.kill()
                try await connection.waitUntilDisconnected()
                let silent = try SilentServer(port: server.port)
                try await within(patience) {
                    while silent.acceptedCount < 3 { try await Task.sleep(for: .milliseconds(20)) }
                }
                // Time for two more, were they allowed.
                try await Task.sleep(for: .seconds(3))
                #expect(silent.acceptedCount == 3)
                silent.close()
                try server.start()
                try await connection.waitUntilConnected()
                let time = try await connection.roundTripTime()
                #expect(time > .zero)
            }
        }
    }
}

/// Accepts connections, sends a server's greeting, and answers nothing.
private final class SilentServer: Sendable {
    let port: Int
    private let listener: Int32
    private let accepted = Mutex<[Int32]>([])

    init(port: Int) throws {
        self.port = port
        listener = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        var yes: Int32 = 1
        setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &yes, socklen_t(MemoryLayout<Int32>.size))
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_addr.s_addr = inet_addr("127.0.0.1")
        address.sin_port = in_port_t(UInt16(port).bigEndian)
        let isBound = withUnsafePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { raw in
                bind(listener, raw, socklen_t(MemoryLayout<sockaddr_in>.size)) == 0
            }
        }
        guard isBound, listen(listener, 16) == 0 else { throw Failure("Port \(port) cannot be listened on.") }
        Thread.detachNewThread { self.serve() }
    }

    var acceptedCount: Int { accepted.withLock { $0.count } }

    func close() {
        shutdown(listener, Int32(SHUT_RDWR))
        for descriptor in accepted.withLock({ $0 }) { shutdown(descriptor, Int32(SHUT_RDWR)) }
    }

    private func serve() {
        let greeting = "INFO {\"server_id\":\"x\",\"version\":\"2.9.10\",\"max_payload\":1024}\r\n"
        while true {
            let descriptor = accept(listener, nil, nil)
            guard descriptor >= 0 else { break }
            accepted.withLock { $0.append(descriptor) }
            _ = greeting.withCString { send(descriptor, $0, greeting.utf8.count, 0) }
        }
        _ = Foundation.close(listener)
    }
}
