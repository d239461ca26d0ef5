package import Contracts

/// Why a model gave no answer that can be used, and what follows from it.
package struct ModelFailure: Error, Sendable, Equatable {
    /// Stable words for reports.
    package enum Code: String, Sendable, CaseIterable {
        /// No connection, or it ended before an answer began.
        case unreachable = "model_unreachable"
        /// The endpoint is not to be asked at the moment: its circuit breaker is open.
        case unavailable = "model_unavailable"
        /// 429.
        case overloaded = "model_overloaded"
        /// 408, 409 or 5xx.
        case serverError = "model_server_error"
        /// Nothing came for too long, or the call took too long as a whole.
        case timeout = "model_timeout"
        /// The answer ended in the middle.
        case streamBroken = "model_stream_broken"
        /// Not the format of chat completions.
        case badAnswer = "model_bad_answer"
        /// 401 or 403: the key or what it may do.
        case keyRefused = "model_key_refused"
        /// Another 4xx: asking the same again cannot help.
        case requestRefused = "model_request_refused"
        /// The model, or its provider, would not answer this.
        case declined = "model_declined"
        /// Cut at the bound on tokens, and no whole value.
        case cutShort = "model_answer_cut"
        /// Not what the task asked for, and not after a second try either.
        case doesNotFit = "model_answer_does_not_fit"
        case outputTooLarge = "output_too_large"
        /// What is left of the budget does not pay for the question and an answer.
        case budgetTooSmall = "budget_too_small"
    }

    package let code: Code
    package let message: String
    /// Another attempt of the task makes sense.
    package let isRetryable: Bool
    /// It speaks against the endpoint, not against this request: the circuit breaker counts it.
    package let isOutage: Bool
    /// Nothing of an answer was seen, so the same call may be made again within this attempt.
    package let isRepeatable: Bool
    /// What the endpoint asks to wait.
    package let retryAfterSeconds: Int?

    /// The endpoint answered, only not with what was wanted: it is there, so that a half-open circuit breaker may
    /// close. What puts the answer off (408, 409, 429) says neither that it is there for work nor that it is away.
    package var isAnswer: Bool {
        switch code {
        case .keyRefused, .requestRefused, .declined, .cutShort, .doesNotFit, .outputTooLarge: true
        case .unreachable, .unavailable, .overloaded, .serverError, .timeout, .streamBroken, .badAnswer,
            .budgetTooSmall:
            false
        }
    }

    package init(
        _ code: Code, _ message: String, isRetryable: Bool, isOutage: Bool, isRepeatable: Bool = false,
        retryAfterSeconds: Int? = nil
    ) {
        self.code = code
        self.message = message
        self.isRetryable = isRetryable
        self.isOutage = isOutage
        self.isRepeatable = isRepeatable
        self.retryAfterSeconds = retryAfterSeconds
    }

    /// The most of an endpoint's own words that a message repeats.
    package static let quoteBytesMax = 500
    /// A longer wish to wait is cut to this.
    package static let retryAfterSecondsMax = 3600

    /// An answer other than 200.
    ///
    /// | status | tried again | says of the endpoint |
    /// |---|---|---|
    /// | 408, 409, 429 | yes | nothing |
    /// | 500 and above | yes | it is away |
    /// | 401, 403 | no | it is there |
    /// | other 4xx | no | it is there |
    /// | 1xx to 3xx | no | it is away |
    ///
    /// - Parameters:
    ///   - said: the endpoint's own words. Those of 401 and 403 are not repeated, since they may show the key.
    ///   - retryAfter: the header's text; only seconds are understood.
    package init(status: Int, said: String, retryAfter: String?) {
        let quote = StderrReader.cut(said, Self.quoteBytesMax)
        let words = quote.isEmpty ? "" : ": \(quote)"
        let wait = retryAfter.flatMap { Int($0) }.map { min(max($0, 0), Self.retryAfterSecondsMax) }
        switch status {
        case 429:
            self.init(
                .overloaded, "The model endpoint has too many requests (429)\(words).", isRetryable: true,
                isOutage: false, isRepeatable: true, retryAfterSeconds: wait
            )
        case 408, 409, 500...:
            self.init(
                .serverError, "The model endpoint answered \(status)\(words).", isRetryable: true,
                isOutage: status >= 500, isRepeatable: true, retryAfterSeconds: wait
            )
        case 401, 403:
            self.init(
                .keyRefused, "The model endpoint refused this agent's key (\(status)). Check GOLDEN_MODEL_KEY.",
                isRetryable: false, isOutage: false
            )
        case 400..<500:
            self.init(
                .requestRefused, "The model endpoint refused the request (\(status))\(words).", isRetryable: false,
                isOutage: false
            )
        default:
            self.init(
                .badAnswer, "The model endpoint answered \(status), which is none of chat completions.",
                isRetryable: false, isOutage: true
            )
        }
    }

    /// The words of an error document, `{"error": {"message": "…"}}` or `{"error": "…"}`; else its beginning as text.
    package static func words(of body: [UInt8]) -> String {
        do throws(JSONError) {
            var reader = try JSONReader(JSON(parsing: body))
            guard let error = reader.optional("error") else { return "" }
            return error.string ?? error.fields?.first { $0.name == "message" }?.value.string ?? ""
        } catch {
            // A proxy's page, most likely: its first words often say enough.
            return StderrReader.cut(String(decoding: body.prefix(200), as: UTF8.self).filter { $0 != "\0" }, 200)
        }
    }

    /// As the task's owner sees it.
    ///
    /// - Parameter usage: what the attempt has consumed all the same.
    package func report(usage: AgentReport.Usage?) -> AgentReport.Body {
        .failed(
            AgentReport.Failure(
                code: code.rawValue, message: message, isRetryable: isRetryable, retryAfterSeconds: retryAfterSeconds,
                usage: usage
            )
        )
    }
}
