package import Contracts

/// What is learned from a pattern: a sentence of this project's own, put into the role's prompt.
///
/// Prompts are the installation's, and what failed is some tenant's. So nothing that tenants or agents wrote ever
/// stands in a lesson: the trouble alone chooses the sentence.
package enum Lessons {
    /// Like failures of one role within `windowHours`.
    package static let failuresMin = 3
    package static let windowHours = 24
    /// Lessons of one prompt; the oldest makes room.
    static let lessonsMax = 20
    static let opening = "--- Lessons from failures that recurred (kept by the supervisor) ---"
    static let closing = "--- End of the lessons ---"

    package static func finding(_ pattern: PatternCase) -> PatternFinding {
        let trouble = Trouble(
            source: pattern.source, failedGuard: pattern.failedGuard, filedAs: pattern.classification,
            reason: pattern.reason)
        let description = description(trouble)
        guard let lesson = lesson(trouble), let content = adding(lesson, to: pattern.active?.content ?? "") else {
            return PatternFinding(description: description, proposal: nil)
        }
        let proposal = PromptProposal(
            role: pattern.role, content: content, baseVersion: pattern.active?.version ?? 0,
            reason: "\(pattern.count) like failures of the role \(pattern.role) within \(windowHours) h: \(description)"
        )
        return PatternFinding(description: description, proposal: proposal)
    }

    private static func description(_ trouble: Trouble) -> String {
        switch trouble {
        case .guardFailing(let failed): "\(failed.rawValue) still failed after every round of rework."
        case .tooSlow: "Attempts ran past their deadline."
        case .attemptsUsedUp: "Every attempt failed in the same way."
        case .gaveUp: "Agents gave up in the same way."
        case .nobodyApproved: "Nobody approved in time."
        case .reviewersDisagree: "Reviewers could not agree on the work."
        case .workRefused: "Reviewers still refused the work after every round of rework."
        case .reviewersMissing: "Too few reviewers voted in time."
        case .agentAsked: "Agents asked how to go on."
        case .messageLost: "Messages of attempts became dead letters."
        case .unknown: "Failures of a kind without rules."
        }
    }

    private static func lesson(_ trouble: Trouble) -> String? {
        switch trouble {
        case .guardFailing(let failed):
            "Work was sent back again and again because \(failed.rawValue) did not hold. \(failed.fix) Check it before "
                + "you report, and say so in checks."
        case .tooSlow:
            "Attempts ran past their deadline. Plan the work so that a result is reported before it; a smaller result "
                + "in time, saying what is left out, is better than none."
        case .attemptsUsedUp:
            "Attempts failed again and again in the same way. When a way has failed, try another one, and name the "
                + "cause when you fail."
        case .gaveUp:
            "Work was given up in the same way several times. Before you begin, see that what the task needs is there; "
                + "do the part that can be done, and say exactly what is missing."
        case .reviewersDisagree:
            "Reviewers could not agree on the work. State what you assumed, answer each concern of a reviewer, and "
                + "keep a change to one purpose."
        case .workRefused:
            "Work was still refused after every round of rework. Begin with the concerns of its reviewers, answer each "
                + "of them, and change nothing else."
        case .nobodyApproved, .reviewersMissing, .agentAsked, .messageLost, .unknown: nil
        }
    }

    /// The prompt with one more lesson at the end of its section, which stands at the prompt's end. Nil when the lesson
    /// stands there already, or the prompt would become too long.
    static func adding(_ lesson: String, to content: String) -> String? {
        let (body, lessons) = split(content)
        guard !lessons.contains(lesson) else { return nil }
        let kept = (lessons + [lesson]).suffix(lessonsMax)
        let section = ([opening] + kept.map { "- \($0)" } + [closing]).joined(separator: "\n")
        let text = (body.isEmpty ? "" : "\(body)\n\n") + section + "\n"
        return text.utf8.count <= PromptProposal.contentBytesMax ? text : nil
    }

    /// What people wrote, byte for byte up to the space at its end, and the lessons after it.
    private static func split(_ content: String) -> (body: String, lessons: [String]) {
        let bytes = Array(content.utf8)
        let marks = ranges(of: opening, in: bytes)
        guard let start = marks.last, let end = ranges(of: closing, in: bytes).last, end >= start else {
            return (trimmed(bytes[...]), [])
        }
        let inside = String(decoding: bytes[(start + opening.utf8.count)..<end], as: UTF8.self)
        let after = trimmed(bytes[(end + closing.utf8.count)...])
        let lessons = inside.split(separator: "\n").compactMap { $0.hasPrefix("- ") ? String($0.dropFirst(2)) : nil }
        return (trimmed(bytes[..<start]) + (after.isEmpty ? "" : "\n\n\(after)"), lessons)
    }

    private static func ranges(of mark: String, in bytes: [UInt8]) -> [Int] {
        let mark = Array(mark.utf8)
        guard bytes.count >= mark.count else { return [] }
        return (0...(bytes.count - mark.count)).filter { bytes[$0..<($0 + mark.count)].elementsEqual(mark) }
    }

    private static func trimmed(_ bytes: ArraySlice<UInt8>) -> String {
        var bytes = bytes
        while let last = bytes.last, last == 0x0A || last == 0x0D || last == 0x20 || last == 0x09 { bytes.removeLast() }
        while let first = bytes.first, first == 0x0A || first == 0x0D { bytes.removeFirst() }
        return String(decoding: bytes, as: UTF8.self)
    }
}
