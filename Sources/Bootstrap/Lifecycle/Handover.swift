internal import FoundationEssentials
internal import Glibc

/// What a service was given by whoever started it, so that it can take another process's place without a gap.
///
/// Keys: `LISTEN_FDS` and `LISTEN_PID` (systemd's socket activation: descriptor 3 listens already, and goes on
/// listening when this process ends) and `GOLDEN_HANDOVER_FILE` (another process still serves: this one waits until it
/// is ready, serves, and then writes its process id to that file).
package struct Handover: Sendable {
    /// Where passed descriptors begin.
    private static let descriptorFirst: Int32 = 3

    /// A socket that listens already; nil to open one.
    package let socket: Int32?
    private let file: String?

    package init(_ settings: ServiceConfiguration) throws(BootstrapError) {
        let isForThis = try settings.optionalString("LISTEN_PID") == "\(getpid())"
        let count = try settings.optionalString("LISTEN_FDS")
        guard !isForThis || count == nil || count == "1" else {
            throw settings.invalid("LISTEN_FDS", "must be 1: there is one socket to serve")
        }
        socket = isForThis && count != nil ? Self.descriptorFirst : nil
        file = try settings.optionalString("GOLDEN_HANDOVER_FILE")
    }

    /// Says that this process serves; nil where nobody waits for that, and it serves at once.
    package var announce: (@Sendable () throws -> Void)? {
        guard let file else { return nil }
        return {
            // Whole or not at all: somebody is reading it in a loop.
            try Data("\(getpid())\n".utf8).write(to: URL(filePath: file), options: .atomic)
        }
    }
}
