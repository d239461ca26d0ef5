internal import Synchronization

/// Where a command speaks: results on standard output, progress on standard error.
///
/// A status line that rewrites itself is drawn only when standard error is a terminal; colours only on a terminal
/// that has not asked for none (NO_COLOR, TERM=dumb).
final class Console: Sendable {
    let isInteractive: Bool
    let hasColour: Bool
    private let isSupervisors: Bool
    private let status = Mutex<String?>(nil)

    /// - Parameter isSupervisors: what it prints is no result, and may be lost.
    init(environment: [String: String], isSupervisors: Bool = false) {
        self.isSupervisors = isSupervisors
        let plain = environment["NO_COLOR"].map { !$0.isEmpty } ?? false || environment["TERM"] == "dumb"
        isInteractive = FileHandles.standardError.isTerminal && environment["TERM"] != "dumb"
        hasColour = FileHandles.standardOutput.isTerminal && !plain
    }

    /// One line of the result.
    func print(_ line: String) {
        let line = Self.inert(line)
        status.withLock { shown in
            Self.erase(shown)
            if isSupervisors { FileHandles.standardOutput.write(line + "\n") } else { Results.write(line + "\n") }
            Self.draw(shown)
        }
    }

    /// One line beside the result: hints, notes, errors.
    func note(_ line: String) {
        let line = Self.inert(line)
        status.withLock { shown in
            Self.erase(shown)
            FileHandles.standardError.write(line + "\n")
            Self.draw(shown)
        }
    }

    /// Shows what is going on at the bottom of a terminal; elsewhere nothing.
    func showStatus(_ line: String) {
        guard isInteractive else { return }
        let fitting = String(line.prefix(max(10, FileHandles.standardError.columns - 1)))
        status.withLock { shown in
            guard shown != fitting else { return }
            Self.erase(shown)
            shown = fitting
            Self.draw(shown)
        }
    }

    func clearStatus() {
        status.withLock { shown in
            Self.erase(shown)
            shown = nil
        }
    }

    /// A step of something longer: the status line on a terminal, a line of its own elsewhere.
    func step(_ words: String) {
        if isInteractive { showStatus("… \(words)") } else { note(words) }
    }

    /// What could control a terminal and is beyond ASCII, written as JSON's escapes: others' words come in JSON, too,
    /// which stays the same value. ASCII's own controls stand escaped in JSON already, and `Table.printable` takes
    /// them from everything else.
    static func inert(_ line: String) -> String {
        guard line.unicodeScalars.contains(where: isHazard) else { return line }
        var inert = ""
        for scalar in line.unicodeScalars {
            guard isHazard(scalar) else {
                inert.unicodeScalars.append(scalar)
                continue
            }
            for unit in String(scalar).utf16 {
                let digits = String(unit, radix: 16)
                inert += "\\u" + String(repeating: "0", count: 4 - digits.count) + digits
            }
        }
        return inert
    }

    private static func isHazard(_ scalar: Unicode.Scalar) -> Bool {
        guard scalar.value >= 0x7F else { return false }
        return switch scalar.properties.generalCategory {
        case .control, .format, .lineSeparator, .paragraphSeparator: true
        default: false
        }
    }

    func styled(_ text: String, _ style: Style) -> String { hasColour ? style.rawValue + text + "\u{1B}[0m" : text }

    enum Style: String {
        case bold = "\u{1B}[1m"
        case dim = "\u{1B}[2m"
        case red = "\u{1B}[31m"
        case green = "\u{1B}[32m"
        case yellow = "\u{1B}[33m"
        case cyan = "\u{1B}[36m"
    }

    private static func erase(_ shown: String?) {
        if shown != nil { FileHandles.standardError.write("\r\u{1B}[K") }
    }

    private static func draw(_ shown: String?) {
        if let shown { FileHandles.standardError.write(shown) }
    }
}
