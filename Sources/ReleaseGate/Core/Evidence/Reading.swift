/// Events of one kind on one side in one stretch of time.
package struct Sample: Sendable, Equatable, Codable {
    package let total: Int
    package let bad: Int
    /// Bad events of callers that were failing already: one caller's retries are one failure, not many. Zero where the
    /// source cannot tell callers apart.
    package let repeats: Int

    package init(total: Int, bad: Int, repeats: Int = 0) {
        self.total = total
        self.bad = bad
        self.repeats = repeats
    }

    package static let none = Sample(total: 0, bad: 0)

    package static func + (left: Sample, right: Sample) -> Sample {
        Sample(total: left.total + right.total, bad: left.bad + right.bad, repeats: left.repeats + right.repeats)
    }
}

/// What a source says about one stretch of time: counts, or why there are none. Nothing else than counts is ever taken
/// for good news.
package enum Reading: Sendable, Equatable {
    case counted(Sample)
    /// The source answered, and knows no such series.
    case missing
    /// The source answered with NaN or an infinity.
    case notANumber
    /// The newest sample is that old.
    case stale(ageSeconds: Int)
    /// A counter went backwards: a process started anew, and what it had counted since the last look is lost.
    case reset
    /// Some of the targets did not answer, so that the counts are of the others alone.
    case partial(answered: Int, targets: Int)

    package var sample: Sample? {
        if case .counted(let sample) = self { sample } else { nil }
    }

    /// There is no series, or none any more.
    package var isAbsence: Bool {
        switch self {
        case .missing, .stale: true
        case .counted, .notANumber, .reset, .partial: false
        }
    }
}

extension Reading: Codable {
    private enum State: String, Codable {
        case counted, missing, stale, reset, partial
        case notANumber = "not_a_number"
    }

    private enum Key: String, CodingKey {
        case state, total, bad, repeats, answered, targets
        case ageSeconds = "age_seconds"
    }

    package init(from decoder: any Decoder) throws {
        let fields = try decoder.container(keyedBy: Key.self)
        switch try fields.decode(State.self, forKey: .state) {
        case .counted: self = .counted(try Sample(from: decoder))
        case .missing: self = .missing
        case .notANumber: self = .notANumber
        case .stale: self = .stale(ageSeconds: try fields.decode(Int.self, forKey: .ageSeconds))
        case .reset: self = .reset
        case .partial:
            self = .partial(
                answered: try fields.decode(Int.self, forKey: .answered),
                targets: try fields.decode(Int.self, forKey: .targets))
        }
    }

    package func encode(to encoder: any Encoder) throws {
        var fields = encoder.container(keyedBy: Key.self)
        switch self {
        case .counted(let sample):
            try fields.encode(State.counted, forKey: .state)
            try sample.encode(to: encoder)
        case .missing: try fields.encode(State.missing, forKey: .state)
        case .notANumber: try fields.encode(State.notANumber, forKey: .state)
        case .stale(let ageSeconds):
            try fields.encode(State.stale, forKey: .state)
            try fields.encode(ageSeconds, forKey: .ageSeconds)
        case .reset: try fields.encode(State.reset, forKey: .state)
        case .partial(let answered, let targets):
            try fields.encode(State.partial, forKey: .state)
            try fields.encode(answered, forKey: .answered)
            try fields.encode(targets, forKey: .targets)
        }
    }
}
