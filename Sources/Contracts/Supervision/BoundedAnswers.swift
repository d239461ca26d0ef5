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
