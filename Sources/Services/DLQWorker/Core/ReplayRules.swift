package import Contracts

/// Decides what a replay does with one letter. Pure.
///
/// Nothing here keeps a task from being accepted twice: the fences of attempt and lease do, for every message. These
/// rules keep agents from doing work that can no longer count, and tell people why.
package enum ReplayRules {
    /// What is known of the task that a letter is about.
    package enum TaskFact: Sendable, Equatable {
        /// The letter is about no task.
        case none
        /// There is no such task.
        case unknown
        case known(TaskState, attempt: Int, leaseToken: String?)
    }

    /// Which attempt a message belongs to.
    package struct AttemptOfMessage: Sendable, Equatable {
        package let attempt: Int
        package let leaseToken: String

        package init(attempt: Int, leaseToken: String) {
            self.attempt = attempt
            self.leaseToken = leaseToken
        }
    }

    /// Nil: send it again.
    package static func refusal(_ fact: TaskFact, of message: AttemptOfMessage?) -> LetterOutcome? {
        switch fact {
        case .none: return nil
        case .unknown: return .unknownTask
        case .known(let state, _, _) where state.isTerminal: return .taskEnded
        case .known(_, let attempt, let lease):
            guard let message else { return nil }
            return message.attempt == attempt && message.leaseToken == lease ? nil : .superseded
        }
    }

    /// The attempt that a work item or an agent's report belongs to; nil for messages that belong to none, and for what
    /// cannot be read: those are sent as they are, because a newer consumer may be able to.
    package static func attempt(subject: String, payload: [UInt8]) -> AttemptOfMessage? {
        guard Subject.carriesAttempt(subject) else { return nil }
        do throws(JSONError) {
            var body = try JSONReader(try JSON(parsing: payload))
            // Work of a review or an analysis is no task's attempt.
            if let kind = try body.optionalString("kind"), kind != "work" { return nil }
            return AttemptOfMessage(attempt: try body.int("attempt"), leaseToken: try body.string("lease_token"))
        } catch {
            return nil
        }
    }

    /// The task that a message names in its body; nil when it names none, or cannot be read. In the work of a review or
    /// an analysis the id is the work's own.
    package static func task(in payload: [UInt8]) -> TaskID? {
        do throws(JSONError) {
            var body = try JSONReader(try JSON(parsing: payload))
            if let kind = try body.optionalString("kind"), kind != "work" { return nil }
            return try body.optionalString("task_id").flatMap { TaskID($0) }
        } catch {
            return nil
        }
    }

    /// The id under which a letter is sent for the `count`-th time; the same again if whoever sent it is asked twice.
    package static func messageID(of letter: DeadLetterID, replayCount count: Int) -> String {
        "replay:\(letter):\(count + 1)"
    }

    /// What the headers that were filed with a letter say to whoever sends it.
    package struct Headers: Sendable, Equatable {
        /// Those it is sent with: the sender's own, without the story of its death.
        package private(set) var own: [String: String]
        /// Whether it holds the beginning of its message only: that is no message, and is not sent.
        package private(set) var isCut = false

        package init(of letter: DeadLetterID, stored: JSON) {
            // Room for those that most letters have.
            own = Dictionary(minimumCapacity: 4)
            for (name, value) in stored.fields ?? [] {
                if !MessageHeader.isStory(name) {
                    own[name] = value.string
                } else if name == MessageHeader.wholeBytes {
                    isCut = true
                }
            }
            own[MessageHeader.replayOf] = letter.description
        }
    }
}

/// Letters that a policy answers by itself, once: what was given up because a dependency was away, or because the one
/// who had it died, is sent again when it has waited a while. Everything else waits for a person.
package enum AnswerPolicy {
    package static let by = "policy:retry-once"
    package static let reasons = ["deliveries_exhausted", "max_deliveries"]
    /// Families whose consumers fence repeats.
    package static let families = Subject.fencedFamilies
    /// Long enough for a restart of whatever was away.
    package static let minAge: Duration = .seconds(60)
}
