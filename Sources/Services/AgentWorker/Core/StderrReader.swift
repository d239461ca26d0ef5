package import Contracts

/// What a program says on standard error while it works: JSON lines are meant for us, the rest is for people.
///
/// ```
/// {"progress": "text", "data": …}      progress of the attempt
/// {"usage": {"tokens": 1234}}          what it consumed since its start; the last one counts
/// ```
///
/// Usage travels with the next progress and with the outcome; what passes the task's budget is reported at once.
package struct StderrReader: Sendable {
    /// A line longer than this is never ours; its beginning is dropped, its end is kept as text.
    package static let lineBytesMax = 64 << 10
    /// Of what is not ours, this much is kept for the failure message.
    package static let tailBytesMax = 4 << 10
    /// Longer progress texts are cut.
    package static let progressBytesMax = 4096

    package struct Progress: Sendable, Equatable {
        package let message: String
        package let data: JSON?
        /// What the attempt has consumed by now.
        package let usage: AgentReport.Usage?

        package init(message: String, data: JSON? = nil, usage: AgentReport.Usage? = nil) {
            self.message = message
            self.data = data
            self.usage = usage
        }
    }

    private var line: [UInt8] = []
    private var isLineTooLong = false
    private var tailBytes: [UInt8] = []
    package private(set) var usage: AgentReport.Usage?
    private let budgetLeft: Int?

    /// - Parameter budgetLeft: the work item's.
    package init(budgetLeft: Int? = nil) {
        self.budgetLeft = budgetLeft
    }

    /// The progress reports that `bytes` completed.
    package mutating func read(_ bytes: some Sequence<UInt8>) -> [Progress] {
        var found: [Progress] = []
        for byte in bytes {
            if byte == UInt8(ascii: "\n") {
                if let progress = endLine() { found.append(progress) }
            } else {
                line.append(byte)
                if line.count > Self.lineBytesMax { spill() }
            }
        }
        return found
    }

    /// The end of standard error; a last line without line break counts.
    package mutating func finish() -> [Progress] {
        line.isEmpty ? [] : endLine().map { [$0] } ?? []
    }

    /// The last text that was not ours, as valid UTF-8 of one or more lines.
    package var tail: String {
        // A cut may have split a character; its rest is dropped rather than shown as replacement marks.
        let whole = tailBytes.drop { $0 & 0xC0 == 0x80 }
        return String(decoding: whole, as: UTF8.self).filter { $0 != "\0" }
    }

    private mutating func endLine() -> Progress? {
        defer {
            line.removeAll(keepingCapacity: true)
            isLineTooLong = false
        }
        if line.last == UInt8(ascii: "\r") { line.removeLast() }
        if !isLineTooLong, line.first == UInt8(ascii: "{"), let object = parsed(line) {
            if let message = object["progress"]?.string {
                return Progress(message: Self.cut(message, Self.progressBytesMax), data: object["data"], usage: usage)
            }
            if let tokens = object["usage"].flatMap(Self.tokens) {
                let usage = AgentReport.Usage(tokens: tokens)
                self.usage = usage
                guard let budgetLeft, tokens > budgetLeft else { return nil }
                return Progress(message: "used \(tokens) tokens, \(budgetLeft) were left", usage: usage)
            }
        }
        keep(line + [UInt8(ascii: "\n")])
        return nil
    }

    private mutating func spill() {
        keep(line)
        line.removeAll(keepingCapacity: true)
        isLineTooLong = true
    }

    private mutating func keep(_ bytes: [UInt8]) {
        tailBytes += bytes.suffix(Self.tailBytesMax)
        if tailBytes.count > Self.tailBytesMax { tailBytes.removeFirst(tailBytes.count - Self.tailBytesMax) }
    }

    private func parsed(_ line: [UInt8]) -> [String: JSON]? {
        do throws(JSONError) {
            let fields = try JSON(parsing: line).fields ?? []
            return Dictionary(fields.map { ($0.name, $0.value) }) { first, _ in first }
        } catch {
            // A program may well print text that begins with a brace.
            return nil
        }
    }

    private static func tokens(_ usage: JSON) -> Int? {
        guard let tokens = usage.fields?.first(where: { $0.name == "tokens" })?.value.int,
            (0...AgentReport.Usage.tokensMax).contains(tokens)
        else { return nil }
        return tokens
    }

    /// The longest beginning of whole characters within `bytesMax` bytes.
    package static func cut(_ text: String, _ bytesMax: Int) -> String {
        guard text.utf8.count > bytesMax else { return text }
        var cut = ""
        var count = 0
        for scalar in text.unicodeScalars {
            count += UTF8.width(scalar)
            if count > bytesMax { break }
            cut.unicodeScalars.append(scalar)
        }
        return cut
    }
}
