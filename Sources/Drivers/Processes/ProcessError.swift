internal import Glibc

/// The one error of this driver: which call the kernel refused, and why.
package struct ProcessError: Error, Sendable, CustomStringConvertible {
    package enum Code: String, Sendable {
        case pipe = "process_pipe"
        case memoryFile = "process_memory_file"
        case spawn = "process_spawn"
        case file = "process_file"
    }

    package let code: Code
    package let message: String
    package let errno: Int32

    init(_ code: Code, _ message: String, _ errno: Int32) {
        self.code = code
        self.message = message
        self.errno = errno
    }

    package var description: String { "\(code.rawValue): \(message) (\(unsafe String(cString: strerror(errno))))" }
}
