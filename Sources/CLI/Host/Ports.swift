internal import Glibc

/// TCP ports on loopback.
enum Ports {
    /// Below the range the kernel hands to outgoing connections, so that a restarted server finds its port free.
    static let range: ClosedRange<Int> = 20_000...31_999
    static let triesMax = 2000
    static let answerBytesMax = 64 << 10

    /// True when a server could listen on that port now.
    static func isFree(_ port: Int) -> Bool {
        let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        guard descriptor >= 0 else { return false }
        defer { close(descriptor) }
        var yes: Int32 = 1
        setsockopt(descriptor, SOL_SOCKET, SO_REUSEADDR, &yes, socklen_t(MemoryLayout<Int32>.size))
        return withLoopbackAddress(port) { bind(descriptor, $0, $1) == 0 && listen(descriptor, 1) == 0 }
    }

    /// True when something accepts connections on that port.
    static func accepts(_ port: Int) -> Bool {
        let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        guard descriptor >= 0 else { return false }
        defer { close(descriptor) }
        return withLoopbackAddress(port) { connect(descriptor, $0, $1) == 0 }
    }

    /// The first of `count` free ports in a row, none of them in `taken`, searched from a random place so that stacks
    /// started together rarely meet.
    static func free(_ count: Int = 1, notIn taken: Set<Int>) throws(CLIError) -> Int {
        var port = Int.random(in: range)
        for _ in 0..<triesMax {
            if (port..<(port + count)).allSatisfy({ !taken.contains($0) && isFree($0) }) { return port }
            port = port == range.upperBound ? range.lowerBound : port + 1
        }
        throw CLIError(.portTaken, "No free port was found from \(range.lowerBound) to \(range.upperBound).")
    }

    static func withLoopbackAddress<Answer>(
        _ port: Int, _ body: (UnsafePointer<sockaddr>, socklen_t) -> Answer
    ) -> Answer {
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_addr.s_addr = inet_addr("127.0.0.1")
        address.sin_port = in_port_t(UInt16(truncatingIfNeeded: port)).bigEndian
        return withUnsafePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { raw in
                body(raw, socklen_t(MemoryLayout<sockaddr_in>.size))
            }
        }
    }

    /// The port that a socket was bound to.
    static func bound(_ descriptor: Int32) -> Int? {
        var address = sockaddr_in()
        var size = socklen_t(MemoryLayout<sockaddr_in>.size)
        let isKnown = withUnsafeMutablePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { getsockname(descriptor, $0, &size) == 0 }
        }
        return isKnown ? Int(UInt16(bigEndian: address.sin_port)) : nil
    }

    /// Sends `request` to the port; true when what comes back holds `answer`, each part of it within a second.
    static func converse(_ port: Int, request: String, until answer: String) -> Bool {
        let descriptor = open(port, milliseconds: 1000)
        guard descriptor >= 0 else { return false }
        defer { close(descriptor) }
        let bytes = Array(request.utf8)
        guard send(descriptor, bytes, bytes.count, Int32(MSG_NOSIGNAL)) == bytes.count else { return false }
        var heard = ""
        var part = [UInt8](repeating: 0, count: 4096)
        while heard.utf8.count < answerBytesMax {
            let count = recv(descriptor, &part, part.count, 0)
            guard count > 0 else { return false }
            heard += String(decoding: part.prefix(count), as: UTF8.self)
            if heard.contains(answer) { return true }
        }
        return false
    }

    /// A connection whose waits end after `milliseconds`; negative when there is none.
    private static func open(_ port: Int, milliseconds: Int) -> Int32 {
        let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        guard descriptor >= 0 else { return descriptor }
        var limit = timeval(tv_sec: milliseconds / 1000, tv_usec: milliseconds % 1000 * 1000)
        let size = socklen_t(MemoryLayout<timeval>.size)
        setsockopt(descriptor, SOL_SOCKET, SO_RCVTIMEO, &limit, size)
        setsockopt(descriptor, SOL_SOCKET, SO_SNDTIMEO, &limit, size)
        if withLoopbackAddress(port, { connect(descriptor, $0, $1) == 0 }) { return descriptor }
        close(descriptor)
        return -1
    }

    /// Sends `request` to the port and returns the first bytes of the answer, or nil within `milliseconds`.
    static func exchange(_ port: Int, request: String, milliseconds: Int) -> String? {
        let descriptor = open(port, milliseconds: milliseconds)
        guard descriptor >= 0 else { return nil }
        defer { close(descriptor) }
        let bytes = Array(request.utf8)
        guard bytes.isEmpty || send(descriptor, bytes, bytes.count, Int32(MSG_NOSIGNAL)) == bytes.count else {
            return nil
        }
        var answer = [UInt8](repeating: 0, count: 512)
        let count = recv(descriptor, &answer, answer.count, 0)
        return count > 0 ? String(decoding: answer.prefix(count), as: UTF8.self) : nil
    }
}
