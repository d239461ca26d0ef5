/// What an escalation is to be resolved by: steps in the order in which to take them.
package struct Synthesis: Sendable, Equatable {
    package enum StepType: String, Sendable, CaseIterable { case fix, improve, refactor, test, document, review }

    package struct Step: Sendable, Equatable {
        /// From 1, the most urgent, to 100.
        package let priority: Int
        package let type: StepType
        /// 5 to 1000 characters.
        package let issue: String
        /// Who is to do it, 2 to 100 characters.
        package let agent: String
    }

    package static let stepCount = 1...50
    /// 1 to 50.
    package let steps: [Step]

    package init(json: JSON) throws(JSONError) {
        var reader = try JSONReader(json)
        var steps: [Step] = []
        for (index, element) in try reader.boundedArray("steps", Self.stepCount).enumerated() {
            var step = try JSONReader(element, path: "steps[\(index)]")
            let priority = try step.int("priority")
            guard (1...100).contains(priority) else { throw step.error("priority", "must be from 1 to 100") }
            steps.append(
                Step(
                    priority: priority, type: try step.word("type"), issue: try step.characters("issue", 5...1000),
                    agent: try step.characters("agent", 2...100)
                )
            )
            try step.refuseUnknown()
        }
        self.steps = steps
        try reader.refuseUnknown()
    }
}

/// Like failures that an analyst has found.
package struct PatternReport: Sendable, Equatable {
    package struct Pattern: Sendable, Equatable {
        /// What its failures have in common, 1 to 200 characters.
        package let signature: String
        package let classification: EscalationCause.Classification
        /// 1 to 2000 characters.
        package let description: String
    }

    package static let patternCount = 0...20
    /// At most 20.
    package let patterns: [Pattern]

    package init(json: JSON) throws(JSONError) {
        var reader = try JSONReader(json)
        var patterns: [Pattern] = []
        for (index, element) in try reader.boundedArray("patterns", Self.patternCount).enumerated() {
            var pattern = try JSONReader(element, path: "patterns[\(index)]")
            patterns.append(
                Pattern(
                    signature: try pattern.characters("signature", 1...200),
                    classification: try pattern.word("classification"),
                    description: try pattern.characters("description", 1...2000)
                )
            )
            try pattern.refuseUnknown()
        }
        self.patterns = patterns
        try reader.refuseUnknown()
    }
}

/// What somebody concludes who was asked to judge.
package struct Consensus: Sendable, Equatable {
    package let decision: VoteChoice
    /// 0 to 1.
    package let confidence: Double
    /// At most 2000 characters.
    package let reasoning: String

    package init(json: JSON) throws(JSONError) {
        var reader = try JSONReader(json)
        decision = try reader.word("decision")
        guard let confidence = try reader.optionalDouble("confidence"), (0...1).contains(confidence) else {
            throw reader.error("confidence", "must be a number from 0 to 1")
        }
        self.confidence = confidence
        reasoning = try reader.characters("reasoning", 0...2000)
        try reader.refuseUnknown()
    }
}

/// A reviewer's vote on an artifact, with what is to be mended; what the peer hub takes, and no more.
package struct Verdict: Sendable, Equatable {
    package enum Severity: String, Sendable, CaseIterable { case high, medium, low }

    package struct Concern: Sendable, Equatable {
        /// The path within the artifact, up to 300 characters; empty when it has none.
        package let file: String
        /// From 1.
        package let line: Int
        /// What kind of thing it is, such as `sql-injection`, 1 to 60 characters.
        package let rule: String
        package let severity: Severity
        /// What is wrong, 1 to 400 characters.
        package let message: String
        /// What to do about it, at most 400 characters.
        package let fix: String
    }

    package static let concernCount = 0...ReviewOpinion.concernsMax
    package static let lineRange = 1...1_000_000

    package let choice: VoteChoice
    /// At most 50, 32 KiB in all.
    package let concerns: [Concern]
    /// For a person to read, 1 to 4096 bytes.
    package let rationale: String

    package init(json: JSON) throws(JSONError) {
        var reader = try JSONReader(json)
        choice = try reader.word("vote")
        var concerns: [Concern] = []
        for (index, element) in try reader.boundedArray("concerns", Self.concernCount).enumerated() {
            var concern = try JSONReader(element, path: "concerns[\(index)]")
            let line = try concern.int("line")
            guard Self.lineRange.contains(line) else {
                throw concern.error(
                    "line", "must be from \(Self.lineRange.lowerBound) to \(Self.lineRange.upperBound)")
            }
            concerns.append(
                Concern(
                    file: try concern.characters("file", 0...300), line: line,
                    rule: try concern.characters("rule", 1...60), severity: try concern.word("severity"),
                    message: try concern.characters("message", 1...400), fix: try concern.characters("fix", 0...400)
                )
            )
            try concern.refuseUnknown()
        }
        self.concerns = concerns
        rationale = try reader.characters("rationale", 1...ReviewOpinion.rationaleBytesMax)
        // The bounds on bytes, which a schema cannot say.
        _ = try ReviewOpinion(from: &reader)
        try reader.refuseUnknown()
    }
}

extension JSONReader {
    /// A text of so many characters (Unicode scalars, as JSON Schema counts).
    fileprivate mutating func characters(_ field: String, _ range: ClosedRange<Int>) throws(JSONError) -> String {
        let text = try string(field)
        guard range.contains(text.unicodeScalars.count) else {
            throw error(field, "must be \(range.lowerBound) to \(range.upperBound) characters long")
        }
        return text
    }

    fileprivate mutating func word<Word: RawRepresentable<String> & CaseIterable>(
        _ field: String
    ) throws(JSONError) -> Word {
        guard let word = Word(rawValue: try string(field)) else {
            throw error(field, "must be one of \(Word.allCases.map(\.rawValue).joined(separator: ", "))")
        }
        return word
    }

    fileprivate mutating func boundedArray(_ field: String, _ range: ClosedRange<Int>) throws(JSONError) -> [JSON] {
        guard let elements = try optionalArray(field) else { throw error(field, "is required") }
        guard range.contains(elements.count) else {
            throw error(field, "must have \(range.lowerBound) to \(range.upperBound) elements, has \(elements.count)")
        }
        return elements
    }
}
