internal import Glibc
internal import Synchronization

/// Standard output as the place where a command's result goes: one that was not handed over is a failure.
///
/// There is one for the process, as there is one standard output.
enum Results {
    /// Opens when something was lost. Whoever only shows what happens elsewhere ends then.
    static let lost = Latch()
    private static let reason = Mutex<Int32?>(nil)

    static func write(_ text: String) { write(Array(text.utf8)) }

    static func write(_ bytes: [UInt8]) {
        guard let number = FileHandles.standardOutput.writeAll(bytes) else { return }
        reason.withLock { $0 = $0 ?? number }
        lost.open()
    }

    /// What to tell of a loss; nil when nothing was lost, or when the reader went away, and so wants no more.
    static var failure: CLIError? {
        guard let number = reason.withLock({ $0 }), number != EPIPE else { return nil }
        return CLIError(
            .outputLost, "The result could not be written to standard output: \(String(cString: strerror(number))).",
            kept: "What the command did stands; only its output is lost.",
            next: "See what there is before you do it again."
        )
    }
}
