import Foundation
import Testing

/// What logs must say so that one finding leads to the next.
@Suite struct `Log rules` {
    /// Lines about many at once, or of a place that knows the id alone.
    static let exempt = [
        "votes do not count", "a run could not be claimed or kept; it will be run again",
        "an escalation waits for a human",
    ]

    @Test func `a line that names a task, a run or a session names its trace`() throws {
        let calls = /logger\.(?:debug|info|notice|warning|error)\(/
        let named = /"(?:task_id|execution_id|session_id|escalation_id)"/
        var found = 0
        for file in try SourceFile.swift(below: "Sources/Services", "Sources/MessageBus") {
            for match in file.text.matches(of: calls) {
                let call = Self.call(file.text[match.range.upperBound...])
                guard call.contains(named), !Self.exempt.contains(where: { call.contains($0) }) else { continue }
                found += 1
                #expect(call.contains("\"trace_id\""), "\(file.path): \(call.prefix(100))")
            }
        }
        #expect(found > 20, "the search finds no log lines any more")
    }

    /// Up to the parenthesis that closes the call.
    private static func call(_ text: Substring) -> Substring {
        var depth = 1
        let end = text.firstIndex { character in
            if character == "(" { depth += 1 }
            if character == ")" { depth -= 1 }
            return depth == 0
        }
        return text[..<(end ?? text.endIndex)]
    }
}
