internal import Glibc
package import Logging
internal import Synchronization

/// Where log lines go: one write a line, so that lines of two threads never mix.
package final class LogOutput: Sendable {
    private let descriptor: Int32
    private let lock = Mutex(())

    /// - Parameter descriptor: an open file descriptor that outlives the output; 1 is standard output.
    package init(descriptor: Int32 = 1) {
        self.descriptor = descriptor
    }

    /// Lines of this process's standard output.
    package static func standard() -> LogOutput { LogOutput(descriptor: 1) }

    /// A logger that writes JSON lines here.
    package func logger(service: String, label: String? = nil, level: Logger.Level) -> Logger {
        Logger(label: label ?? service) { label in
            JSONLogHandler(service: service, label: label, level: level, output: self)
        }
    }

    /// Makes loggers of libraries write here too. Once a process, from its main.
    package func adoptLibraries(service: String, level: Logger.Level) {
        LoggingSystem.bootstrap { label in
            JSONLogHandler(service: service, label: label, level: level, output: self)
        }
    }

    /// A line that cannot be written is lost: there is nobody left to tell.
    func write(_ line: [UInt8]) {
        let bytes = line + [UInt8(ascii: "\n")]
        lock.withLock { _ in
            var start = 0
            while start < bytes.count {
                let count = bytes[start...].withUnsafeBytes { Glibc.write(descriptor, $0.baseAddress, $0.count) }
                if count < 0, errno == EINTR { continue }
                if count <= 0 { return }
                start += count
            }
        }
    }
}
