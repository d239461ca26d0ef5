internal import Contracts

/// What went wrong, as far as rules tell troubles apart.
enum Trouble: Sendable, Hashable {
    /// A guard still fails after all its rounds of rework.
    case guardFailing(Guard)
    /// Attempts ran past their deadline.
    case tooSlow
    /// Every attempt failed in a way that its agent called retryable.
    case attemptsUsedUp(code: String)
    /// An agent failed in a way that it called final.
    case gaveUp(code: String)
    /// No human approved or rejected in time.
    case nobodyApproved
    /// Reviewers could not come to a decision.
    case reviewersDisagree
    /// Reviewers would not take the work after all its rounds of rework.
    case workRefused
    /// Too few reviewers voted in time.
    case reviewersMissing
    /// An agent may not or cannot decide how to go on.
    case agentAsked
    /// The work of an attempt, or its result, became a dead letter.
    case messageLost
    /// Of a source that this build has no rule for.
    case unknown

    /// - Parameters:
    ///   - filedAs: tells what came of a review.
    ///   - reason: as the orchestrator words it, `<code>: <message>`, with `(after <n> attempts)` at the
    ///     end when another attempt could have helped.
    init(
        source: String, failedGuard: Guard?, filedAs: EscalationCause.Classification?, reason: String
    ) {
        switch EscalationCause.Source(rawValue: source) {
        case .guardFailure: self = failedGuard.map { .guardFailing($0) } ?? .unknown
        case .approvalDeadline: self = .nobodyApproved
        case .agent: self = .agentAsked
        case .deadLetter: self = .messageLost
        case .review:
            switch filedAs {
            case .skillGap: self = .workRefused
            case .processIssue: self = .reviewersMissing
            case .agentConflict, nil: self = .reviewersDisagree
            }
        case .failure:
            let code = Self.code(of: reason)
            if code == Self.deadlineCode {
                self = .tooSlow
            } else if reason.wholeMatch(of: /(?s).* \(after [0-9]+ attempts\)/) != nil {
                self = .attemptsUsedUp(code: code)
            } else {
                self = .gaveUp(code: code)
            }
        case nil: self = .unknown
        }
    }

    /// What the machine and agents call an attempt that took too long.
    private static let deadlineCode = "deadline_exceeded"
    private static let codeMax = 40

    /// The word before the first colon, as far as it is one: it comes from agents.
    private static func code(of reason: String) -> String {
        let word = reason.prefix { $0 != ":" }.lowercased().utf8.prefix(codeMax)
        let isPlain = word.allSatisfy { byte in
            (UInt8(ascii: "a")...UInt8(ascii: "z")).contains(byte) || byte == UInt8(ascii: "_")
                || (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte)
        }
        return isPlain && !word.isEmpty ? String(decoding: Array(word), as: UTF8.self) : "other"
    }

    /// One stable word, and what it is about.
    var words: String {
        switch self {
        case .guardFailing(let failed): "guard/\(failed.rawValue)"
        case .tooSlow: "too_slow"
        case .attemptsUsedUp(let code): "attempts_used_up/\(code)"
        case .gaveUp(let code): "gave_up/\(code)"
        case .nobodyApproved: "nobody_approved"
        case .reviewersDisagree: "reviewers_disagree"
        case .workRefused: "work_refused"
        case .reviewersMissing: "reviewers_missing"
        case .agentAsked: "agent_asked"
        case .messageLost: "message_lost"
        case .unknown: "unknown"
        }
    }
}

extension EscalationCase {
    var trouble: Trouble {
        Trouble(source: source, failedGuard: failedGuard, filedAs: filedAs, reason: reason)
    }

    /// What went wrong with the task before.
    var troublesBefore: [Trouble] {
        earlier.map {
            Trouble(source: $0.source, failedGuard: $0.failedGuard, filedAs: $0.classification, reason: $0.reason)
        }
    }

    var automaticCount: Int { earlier.count { $0.isAutomatic } }

    /// By the trouble, and by what went wrong before: who fails one guard after another undoes others' work.
    var classification: EscalationCause.Classification {
        switch trouble {
        case .guardFailing(let failed):
            troublesBefore.contains { if case .guardFailing(let other) = $0 { other != failed } else { false } }
                ? .agentConflict : .skillGap
        case .gaveUp, .workRefused: .skillGap
        case .reviewersDisagree: .agentConflict
        case .tooSlow, .attemptsUsedUp, .nobodyApproved, .reviewersMissing, .agentAsked, .messageLost, .unknown:
            .processIssue
        }
    }
}
