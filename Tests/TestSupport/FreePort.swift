internal import Foundation
internal import Synchronization

/// A TCP port on loopback that nobody listens on. No other test of this process gets the same, and no connection either:
/// it lies below those that the kernel hands out.
public func freePort() -> Int {
    while true {
        let port = ports.withLock { last in
            last = last + 1 < portRange.upperBound ? last + 1 : portRange.lowerBound
            return last
        }
        if canBind(port) { return port }
    }
}

private let portRange = 10_000..<32_000
private let ports = Mutex(Int.random(in: portRange))

private func canBind(_ port: Int) -> Bool {
    let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
    defer { close(descriptor) }
    var address = sockaddr_in()
    address.sin_family = sa_family_t(AF_INET)
    address.sin_port = in_port_t(UInt16(port).bigEndian)
    address.sin_addr.s_addr = inet_addr("127.0.0.1")
    return withUnsafePointer(to: &address) { pointer in
        pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { raw in
            bind(descriptor, raw, socklen_t(MemoryLayout<sockaddr_in>.size)) == 0
        }
    }
}
