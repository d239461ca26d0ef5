package import Contracts

/// What a model's answer must be.
package enum AnswerForm: Sendable, Equatable {
    /// Anything; becomes `{"text": …}`.
    case text
    case synthesis
    case patterns
    case consensus
    /// A vote in a peer review.
    case vote
    /// Fits the schema that the task's input names.
    case schema(AnswerSchema)

    /// The forms that have a name, for configuration and inputs.
    package static let named: [String: AnswerForm] = [
        "text": .text, "synthesis": .synthesis, "patterns": .patterns, "consensus": .consensus, "vote": .vote,
    ]

    /// Nil for text.
    package var schema: JSON? {
        switch self {
        case .text: nil
        case .synthesis: Self.synthesisSchema
        case .patterns: Self.patternsSchema
        case .consensus: Self.consensusSchema
        case .vote: Self.voteSchema
        case .schema(let schema): schema.json
        }
    }

    /// The task's output: the value that was asked for, or the text, which model wrote it, and why it ended there.
    ///
    /// Throws, naming the place, what does not fit.
    package func output(of answer: ChatStream) throws(JSONError) -> JSON {
        guard self == .text else { return try read(answer.text) }
        return JSONWriter.object {
            $0.field("text", answer.text)
            $0.field(ifPresent: "model", answer.model)
            $0.field(ifPresent: "finish_reason", answer.finish?.word)
        }
    }

    /// The value in an answer. One Markdown fence around the whole answer is taken off, since models put one
    /// there; any other word around the value makes it no answer, and so does a field too many.
    ///
    /// Throws, naming the place, what does not fit.
    package func read(_ text: String) throws(JSONError) -> JSON {
        switch self {
        case .text: return try Self.value(text)
        case .synthesis:
            let json = try Self.value(text)
            _ = try Synthesis(json: json)
            return json
        case .patterns:
            let json = try Self.value(text)
            _ = try PatternReport(json: json)
            return json
        case .consensus:
            let json = try Self.value(text)
            _ = try Consensus(json: json)
            return json
        case .vote:
            let json = try Self.value(text)
            _ = try Verdict(json: json)
            return json
        case .schema(let schema):
            let json = try Self.value(text)
            try schema.check(json)
            return json
        }
    }

    private static func value(_ text: String) throws(JSONError) -> JSON {
        try JSON(parsing: unfenced(Array(text.utf8)[...]))
    }

    private static func unfenced(_ bytes: ArraySlice<UInt8>) -> ArraySlice<UInt8> {
        let fence = Array("```".utf8)
        let trimmed = bytes.trimming { $0 == 0x20 || (0x09...0x0D).contains($0) }
        guard trimmed.starts(with: fence), trimmed.count >= 2 * fence.count, trimmed.suffix(3).elementsEqual(fence),
            let lineEnd = trimmed.firstIndex(of: UInt8(ascii: "\n"))
        else { return trimmed }
        let label = trimmed[trimmed.startIndex + fence.count..<lineEnd].trimming { $0 == 0x20 || $0 == 0x0D }
        guard label.isEmpty || label.elementsEqual("json".utf8), lineEnd < trimmed.endIndex - fence.count else {
            return trimmed
        }
        return trimmed[lineEnd..<trimmed.endIndex - fence.count]
    }

    // MARK: What models are told

    private static let synthesisSchema = literal(
        """
        {"type":"object","additionalProperties":false,"required":["steps"],"properties":{"steps":{"type":"array",\
        "minItems":1,"maxItems":50,"items":{"type":"object","additionalProperties":false,\
        "required":["priority","type","issue","agent"],"properties":{\
        "priority":{"type":"integer","minimum":1,"maximum":100},\
        "type":{"type":"string","enum":["fix","improve","refactor","test","document","review"]},\
        "issue":{"type":"string","minLength":5,"maxLength":1000},\
        "agent":{"type":"string","minLength":2,"maxLength":100}}}}}}
        """
    )

    private static let patternsSchema = literal(
        """
        {"type":"object","additionalProperties":false,"required":["patterns"],"properties":{"patterns":{\
        "type":"array","maxItems":20,"items":{"type":"object","additionalProperties":false,\
        "required":["signature","classification","description"],"properties":{\
        "signature":{"type":"string","minLength":1,"maxLength":200},\
        "classification":{"type":"string","enum":["skill_gap","agent_conflict","process_issue"]},\
        "description":{"type":"string","minLength":1,"maxLength":2000}}}}}}
        """
    )

    private static let consensusSchema = literal(
        """
        {"type":"object","additionalProperties":false,"required":["decision","confidence","reasoning"],"properties":{\
        "decision":{"type":"string","enum":["approve","conditional","reject","abstain"]},\
        "confidence":{"type":"number","minimum":0,"maximum":1},"reasoning":{"type":"string","maxLength":2000}}}
        """
    )

    private static let voteSchema = literal(
        """
        {"type":"object","additionalProperties":false,"required":["vote","concerns","rationale"],"properties":{\
        "vote":{"type":"string","enum":["approve","conditional","reject","abstain"]},\
        "concerns":{"type":"array","maxItems":50,"items":{"type":"object","additionalProperties":false,\
        "required":["file","line","rule","severity","message","fix"],"properties":{\
        "file":{"type":"string","maxLength":300},"line":{"type":"integer","minimum":1,"maximum":1000000},\
        "rule":{"type":"string","minLength":1,"maxLength":60},\
        "severity":{"type":"string","enum":["high","medium","low"]},\
        "message":{"type":"string","minLength":1,"maxLength":400},"fix":{"type":"string","maxLength":400}}}},\
        "rationale":{"type":"string","minLength":1,"maxLength":4096}}}
        """
    )

    private static func literal(_ text: String) -> JSON {
        do throws(JSONError) { return try JSON(parsing: text.utf8) } catch {
            preconditionFailure("A schema of this file is no JSON: \(error)")
        }
    }
}

extension ArraySlice<UInt8> {
    fileprivate func trimming(_ isSpace: (UInt8) -> Bool) -> ArraySlice<UInt8> {
        var slice = drop(while: isSpace)
        while let last = slice.last, isSpace(last) { slice.removeLast() }
        return slice
    }
}
