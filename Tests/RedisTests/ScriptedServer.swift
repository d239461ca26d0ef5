import Foundation
import Synchronization

/// A server that misbehaves as told: each connection gets the answers in turn, one after each piece it sends. Only for
/// what no real server does.
final class ScriptedServer: Sendable {
    struct Failure: Error {}

    let port: Int
    private let listener: Int32

    init(answers: [[String]]) throws {
        let listener = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_addr.s_addr = inet_addr("127.0.0.1")
        var length = socklen_t(MemoryLayout<sockaddr_in>.size)
        let bound = withUnsafeMutablePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { raw in
                bind(listener, raw, length) == 0 && listen(listener, 16) == 0
                    && getsockname(listener, raw, &length) == 0
            }
        }
        guard bound else { throw Failure() }
        port = Int(UInt16(bigEndian: address.sin_port))
        self.listener = listener
        Thread.detachNewThread { Self.serve(listener, answers) }
    }

    deinit { shutdown(listener, Int32(SHUT_RDWR)) }

    private static func serve(_ listener: Int32, _ answers: [[String]]) {
        while true {
            let client = accept(listener, nil, nil)
            guard client >= 0 else { break }
            Thread.detachNewThread { answer(client, answers) }
        }
        close(listener)
    }

    private static func answer(_ client: Int32, _ answers: [[String]]) {
        var buffer = [UInt8](repeating: 0, count: 4096)
        for pieces in answers {
            guard recv(client, &buffer, buffer.count, 0) > 0 else { break }
            for piece in pieces { _ = send(client, piece, piece.utf8.count, Int32(MSG_NOSIGNAL)) }
        }
        // Holds the connection until the other side leaves.
        while recv(client, &buffer, buffer.count, 0) > 0 {}
        close(client)
    }
}
