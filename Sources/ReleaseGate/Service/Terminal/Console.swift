internal import Foundation
internal import Glibc
internal import Synchronization

/// Where a command speaks: results on standard output; progress, and what is about to be run, on standard error.
///
/// A line that rewrites itself is drawn only where standard error is a terminal.
package final class Console: Sendable {
    private let isInteractive: Bool
    private let isSilent: Bool
    private let status = Mutex("")

    package init() {
        isInteractive = isatty(STDERR_FILENO) == 1 && ProcessInfo.processInfo.environment["TERM"] != "dumb"
        isSilent = false
    }

    private init(isSilent: Bool) {
        self.isSilent = isSilent
        isInteractive = false
    }

    /// For tests and for the server, which log instead.
    package static let silent = Console(isSilent: true)

    /// One line of the result.
    package func print(_ line: String) { write(line, to: STDOUT_FILENO) }

    /// One line beside the result.
    package func note(_ line: String) { write(line, to: STDERR_FILENO) }

    /// What is going on: rewritten in place on a terminal, nothing elsewhere.
    package func show(_ line: String) {
        guard isInteractive else { return }
        status.withLock { shown in
            guard shown != line else { return }
            Self.put((shown.isEmpty ? "" : "\r\u{1B}[K") + Self.inert(line), STDERR_FILENO)
            shown = line
        }
    }

    package func clear() {
        status.withLock { shown in
            if !shown.isEmpty { Self.put("\r\u{1B}[K", STDERR_FILENO) }
            shown = ""
        }
    }

    private func write(_ line: String, to descriptor: Int32) {
        guard !isSilent else { return }
        status.withLock { shown in
            if !shown.isEmpty { Self.put("\r\u{1B}[K", STDERR_FILENO) }
            Self.put(Self.inert(line) + "\n", descriptor)
            if !shown.isEmpty { Self.put(Self.inert(shown), STDERR_FILENO) }
        }
    }

    /// Others' words (metrics, labels, programs' output) must not control a terminal.
    private static func inert(_ line: String) -> String {
        let scalars = line.unicodeScalars.map { scalar -> Unicode.Scalar in
            scalar.properties.generalCategory == .control && scalar != "\n" && scalar != "\t" ? "\u{FFFD}" : scalar
        }
        return String(String.UnicodeScalarView(scalars))
    }

    private static func put(_ text: String, _ descriptor: Int32) {
        var rest = Array(text.utf8)[...]
        while !rest.isEmpty {
            let count = Array(rest).withUnsafeBytes { unsafe Glibc.write(descriptor, $0.baseAddress, $0.count) }
            if count < 0, errno == EINTR { continue }
            // Nobody reads any more: what a closed pipe wants is no line at all.
            guard count > 0 else { return }
            rest = rest.dropFirst(count)
        }
    }
}

extension Console {
    /// Rows for people: columns as wide as their widest cell, two spaces between.
    package func table(_ headings: [String], _ rows: [[String]]) {
        let all = [headings] + rows
        let widths = headings.indices.map { column in all.map { $0[column].count }.max() ?? 0 }
        for row in all {
            let cells = row.enumerated().map { column, cell in
                column == row.count - 1 ? cell : cell + String(repeating: " ", count: widths[column] - cell.count)
            }
            print(cells.joined(separator: "  "))
        }
    }
}
