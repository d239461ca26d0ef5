internal import Foundation
internal import TestSupport

/// A plain socket, so that tests decide every byte and see every byte.
final class RawConnection: @unchecked Sendable {
    struct Closed: Error {}
    struct TimedOut: Error {}

    private let descriptor: Int32
    private var buffer: [UInt8] = []

    /// Connects to loopback; reading waits at most `patience`.
    init(port: Int, patience: TimeInterval = 10) throws {
        descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_addr.s_addr = inet_addr("127.0.0.1")
        address.sin_port = in_port_t(UInt16(port).bigEndian)
        let result = withUnsafePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                connect(descriptor, $0, socklen_t(MemoryLayout<sockaddr_in>.size))
            }
        }
        guard result == 0 else { throw Closed() }
        wait(atMost: patience)
    }

    deinit { close(descriptor) }

    /// From now on reading waits at most so many seconds.
    func wait(atMost patience: TimeInterval) {
        var limit = timeval(tv_sec: Int(patience), tv_usec: 0)
        setsockopt(descriptor, SOL_SOCKET, SO_RCVTIMEO, &limit, socklen_t(MemoryLayout<timeval>.size))
    }

    func send(_ bytes: some Sequence<UInt8>) throws {
        let bytes = Array(bytes)
        var start = 0
        while start < bytes.count {
            let count = bytes[start...].withUnsafeBytes {
                Foundation.send(descriptor, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL))
            }
            if count <= 0 { throw Closed() }
            start += count
        }
    }

    func send(_ text: String) throws { try send(text.utf8) }

    /// Says that nothing more will be sent; answers can still be read.
    func finishSending() { shutdown(descriptor, Int32(SHUT_WR)) }

    /// Reads up to and with `end`.
    func read(until end: String) throws -> String {
        let end = Array(end.utf8)
        while true {
            if let range = buffer.firstRange(of: end) {
                defer { buffer.removeSubrange(..<range.upperBound) }
                return String(decoding: buffer[..<range.upperBound], as: UTF8.self)
            }
            try fill()
        }
    }

    func read(count: Int) throws -> [UInt8] {
        while buffer.count < count { try fill() }
        defer { buffer.removeFirst(count) }
        return Array(buffer.prefix(count))
    }

    /// Reads until the server closes.
    func readToEnd() throws -> String {
        do {
            while true { try fill() }
        } catch is Closed {
            defer { buffer = [] }
            return String(decoding: buffer, as: UTF8.self)
        }
    }

    private func fill() throws {
        var chunk = [UInt8](repeating: 0, count: 65_536)
        let count = chunk.withUnsafeMutableBytes { recv(descriptor, $0.baseAddress, $0.count, 0) }
        if count < 0, errno == EAGAIN { throw TimedOut() }
        guard count > 0 else { throw Closed() }
        buffer += chunk.prefix(count)
    }

    /// Reads one answer whose length is announced.
    func readAnswer(hasBody: Bool = true) throws -> RawAnswer {
        let head = try read(until: "\r\n\r\n").components(separatedBy: "\r\n").filter { !$0.isEmpty }
        var headers: [String: String] = [:]
        for line in head.dropFirst() {
            let halves = line.split(separator: ":", maxSplits: 1)
            headers[halves[0].lowercased()] = halves[1].trimmingCharacters(in: .whitespaces)
        }
        let length = hasBody ? headers["content-length"].flatMap { Int($0) } ?? 0 : 0
        let status = Int(head[0].split(separator: " ")[1]) ?? 0
        return RawAnswer(status: status, headers: headers, body: try read(count: length))
    }
}

struct RawAnswer: Sendable {
    let status: Int
    let headers: [String: String]
    let body: [UInt8]

    var text: String { String(decoding: body, as: UTF8.self) }
}
