internal import Contracts

/// A model's answer as it comes in: `chat.completion.chunk` events, or one `chat.completion` document. Pure.
package struct ChatStream: Sendable {
    /// The longest answer; what is longer could not be reported either.
    package static let textBytesMax = AgentReport.outputBytesMax - (64 << 10)
    /// The longest event of the stream.
    package static let eventBytesMax = 256 << 10
    /// The largest answer that is no stream, written with every character escaped.
    package static let documentBytesMax = 8 << 20

    /// Why the model stopped, as far as it matters here.
    package enum Finish: Sendable, Equatable {
        case stop
        /// The bound on tokens was reached.
        case length
        /// The provider held the answer back.
        case filtered
        case other(String)

        /// As the format spells it.
        package var word: String {
            switch self {
            case .stop: "stop"
            case .length: "length"
            case .filtered: "content_filter"
            case .other(let word): word
            }
        }
    }

    package private(set) var text = ""
    package private(set) var finish: Finish?
    /// Tokens of question and answer, as the endpoint counted them.
    package private(set) var usageTokens: Int?
    /// What the model calls itself.
    package private(set) var model: String?
    /// The model declined, in these words.
    package private(set) var refusal = ""
    /// `[DONE]` came: nothing is missing.
    package private(set) var isDone = false

    private var parser = ServerSentEventParser(eventBytesMax: eventBytesMax)
    private var document: [UInt8] = []
    private let isStream: Bool

    /// - Parameter isStream: whether the answer comes as events.
    package init(isStream: Bool) {
        self.isStream = isStream
    }

    /// The answer is whole: the end mark came, or the reason why the model stopped.
    package var isComplete: Bool { isDone || finish != nil }

    /// Takes the next bytes, however they are cut.
    package mutating func read(_ bytes: some Sequence<UInt8>) throws(ModelFailure) {
        guard isStream else {
            document.append(contentsOf: bytes)
            guard document.count <= Self.documentBytesMax else { throw Self.tooLarge }
            return
        }
        let events: [ServerSentEventParser.Event]
        do throws(ServerSentEventParser.TooLong) { events = try parser.feed(bytes) } catch {
            throw Self.bad("an event of its stream is longer than \(error.bytesMax) bytes")
        }
        for event in events where !isDone {
            if event.data == "[DONE]" { isDone = true } else { try take(event.data.utf8, deltaName: "delta") }
        }
    }

    /// The body has ended.
    package mutating func end() throws(ModelFailure) {
        if !isStream { try take(document, deltaName: "message") }
        guard isComplete else {
            throw ModelFailure(
                .streamBroken, "The model's answer broke off in the middle.", isRetryable: true, isOutage: true
            )
        }
    }

    private mutating func take(_ bytes: some Sequence<UInt8>, deltaName: String) throws(ModelFailure) {
        do throws(JSONError) {
            var chunk = try JSONReader(JSON(parsing: bytes))
            if let error = chunk.optional("error") { throw Self.said(error) }
            if model == nil { model = try chunk.optionalString("model") }
            for choice in try chunk.optionalArray("choices") ?? [] {
                var choice = try JSONReader(choice, path: "choices")
                // Only one answer was asked for.
                guard try choice.optionalInt("index") ?? 0 == 0 else { continue }
                if var delta = try choice.optionalObject(deltaName) {
                    text += try delta.optionalString("content") ?? ""
                    refusal += try delta.optionalString("refusal") ?? ""
                }
                finish = try choice.optionalString("finish_reason").map(Self.finish) ?? finish
            }
            if var usage = try chunk.optionalObject("usage") { usageTokens = try Self.tokens(&usage) ?? usageTokens }
        } catch {
            throw Self.bad("\(error)")
        }
        guard text.utf8.count + refusal.utf8.count <= Self.textBytesMax else { throw Self.tooLarge }
    }

    private static func finish(_ word: String) -> Finish {
        switch word {
        case "stop": .stop
        case "length": .length
        case "content_filter": .filtered
        default: .other(StderrReader.cut(word, 100))
        }
    }

    /// The sum, or what it is made of; a number that cannot be one counts as none.
    private static func tokens(_ usage: inout JSONReader) throws(JSONError) -> Int? {
        let total = try usage.optionalInt("total_tokens")
        let question = try usage.optionalInt("prompt_tokens") ?? 0
        let answer = try usage.optionalInt("completion_tokens") ?? 0
        let counts = [total ?? 0, question, answer]
        guard counts.allSatisfy({ (0...tokensMax).contains($0) }) else { return nil }
        return total ?? (question + answer > 0 ? question + answer : nil)
    }

    private static let tokensMax = 1_000_000_000

    // MARK: Failures

    /// An error inside a stream whose status was 200.
    private static func said(_ error: JSON) -> JSONError {
        let fields = Dictionary((error.fields ?? []).map { ($0.name, $0.value) }) { first, _ in first }
        let text = fields["message"]?.string ?? error.string ?? "no reason given"
        return JSONError(.wrongShape, path: "error", StderrReader.cut(text, 300))
    }

    private static func bad(_ what: String) -> ModelFailure {
        ModelFailure(
            .badAnswer, "The model endpoint's answer cannot be read: \(StderrReader.cut(what, 500)).",
            isRetryable: true, isOutage: true
        )
    }

    private static let tooLarge = ModelFailure(
        .outputTooLarge, "The model's answer is longer than \(textBytesMax) bytes. Ask for less, or for parts.",
        isRetryable: false, isOutage: false
    )
}
