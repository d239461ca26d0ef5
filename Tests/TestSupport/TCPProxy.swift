import Foundation

/// Passes connections on to a port on loopback, until it is told to swallow everything: what a network does that
/// loses packets without a word.
public final class TCPProxy: @unchecked Sendable {
    // Unchecked: the flag is guarded by the lock; everything else never changes.
    public let port: Int
    private let target: Int
    private let listener: Int32
    private let lock = NSLock()
    private var isBlackHole = false

    public init(to target: Int) throws {
        self.target = target
        port = freePort()
        listener = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        var address = loopback(port)
        var reuse: Int32 = 1
        setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &reuse, socklen_t(MemoryLayout<Int32>.size))
        let bound = withUnsafePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { raw in
                bind(listener, raw, socklen_t(MemoryLayout<sockaddr_in>.size))
            }
        }
        guard bound == 0, listen(listener, 64) == 0 else {
            throw ServerProcess.Failure(description: "No proxy on port \(port).")
        }
        Thread.detachNewThread { [listener, weak self] in
            while case let client = accept(listener, nil, nil), client >= 0 {
                guard let self else { break }
                self.pass(client)
            }
        }
    }

    deinit { shutdown(listener, Int32(SHUT_RDWR)) }

    /// From now on nothing that either side sends arrives, on connections old and new.
    public func swallow() { lock.withLock { isBlackHole = true } }

    /// From now on bytes pass again. Connections that lost some are of no use to their users, who give them up.
    public func restore() { lock.withLock { isBlackHole = false } }

    private var swallows: Bool { lock.withLock { isBlackHole } }

    private func pass(_ client: Int32) {
        let server = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        var address = loopback(target)
        let connected = withUnsafePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { raw in
                connect(server, raw, socklen_t(MemoryLayout<sockaddr_in>.size))
            }
        }
        guard connected == 0 else {
            close(client)
            close(server)
            return
        }
        let bothWays = [(client, server), (server, client)]
        for (from, to) in bothWays {
            Thread.detachNewThread { [weak self] in
                var buffer = [UInt8](repeating: 0, count: 65_536)
                while case let count = read(from, &buffer, buffer.count), count > 0 {
                    guard let self, !self.swallows else { continue }
                    var sent = 0
                    while sent < count {
                        let written = buffer[sent..<count].withUnsafeBytes { bytes in
                            send(to, bytes.baseAddress, bytes.count, Int32(MSG_NOSIGNAL))
                        }
                        if written <= 0 { break }
                        sent += written
                    }
                }
                // The descriptors are left to the end of the test process: closing one that the other thread still
                // uses could hit a descriptor that was given out anew.
                shutdown(to, Int32(SHUT_RDWR))
            }
        }
    }
}

private func loopback(_ port: Int) -> sockaddr_in {
    var address = sockaddr_in()
    address.sin_family = sa_family_t(AF_INET)
    address.sin_addr.s_addr = inet_addr("127.0.0.1")
    address.sin_port = in_port_t(UInt16(port).bigEndian)
    return address
}
