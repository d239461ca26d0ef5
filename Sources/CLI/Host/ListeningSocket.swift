internal import Glibc

/// A loopback port that listens for as long as the stack runs, whichever process serves it: while a process is started
/// again or replaced, connections wait for the next one instead of being refused.
final class ListeningSocket: Sendable {
    static let backlog: Int32 = 1024

    let descriptor: Int32
    let port: Int

    /// - Parameter port: 0 takes any free one.
    init(port: Int) throws(CLIError) {
        // Closed in every process that is started, but where it becomes standard input.
        let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
        var yes: Int32 = 1
        guard descriptor >= 0,
            setsockopt(descriptor, SOL_SOCKET, SO_REUSEADDR, &yes, socklen_t(MemoryLayout<Int32>.size)) == 0,
            Ports.withLoopbackAddress(port, { bind(descriptor, $0, $1) == 0 }),
            listen(descriptor, Self.backlog) == 0, let bound = Ports.bound(descriptor)
        else {
            let why = systemError()
            if descriptor >= 0 { close(descriptor) }
            throw CLIError(
                .portTaken, "Port \(port) cannot be listened on: \(why).",
                next: "Choose another: golden up --port N (0 takes any free one)."
            )
        }
        self.descriptor = descriptor
        self.port = bound
    }

    var address: String { "127.0.0.1:\(port)" }

    deinit { close(descriptor) }
}
