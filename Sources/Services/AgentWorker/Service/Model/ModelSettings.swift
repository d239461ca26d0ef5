package import AgentWorkerCore
package import Bootstrap
package import Coordination
internal import FoundationEssentials
package import Redis

/// Which model the `openai` back end asks, and how: any endpoint that speaks OpenAI's chat completions.
///
/// | key | means |
/// |---|---|
/// | `GOLDEN_MODEL_URL` | where `chat/completions` is, such as `https://api.openai.com/v1` |
/// | `GOLDEN_MODEL_NAME` | the model |
/// | `GOLDEN_MODEL_KEY` | secret; absent for endpoints that ask for none |
/// | `GOLDEN_MODEL_SYSTEM_PROMPT` | what the model is told before all else |
/// | `GOLDEN_MODEL_ANSWERS` | `role=form,…`: roles whose answers are `synthesis`, `patterns`, `consensus` or `vote` |
/// | `GOLDEN_MODEL_MAX_TOKENS` | the longest answer |
/// | `GOLDEN_MODEL_LIMIT_FIELD` | what the endpoint calls that: `max_tokens`, `max_completion_tokens` |
/// | `GOLDEN_MODEL_CALL_SECONDS` | one call as a whole |
/// | `GOLDEN_MODEL_SILENCE_SECONDS` | the longest pause within an answer, its first word included |
/// | `GOLDEN_MODEL_SLOW_SECONDS` | a first word later than this counts as slow |
/// | `GOLDEN_MODEL_TRIES` | calls for one answer, where trying again helps |
/// | `GOLDEN_REDIS_URL`, `GOLDEN_REDIS_CA` | shares the circuit breaker with others; without, each is alone |
package struct ModelSettings: Sendable, CustomStringConvertible {
    /// What endpoints call the bound on an answer's length.
    package enum LimitField: String, Sendable, CaseIterable {
        case tokens = "max_tokens"
        case completionTokens = "max_completion_tokens"
    }

    /// Of `chat/completions`.
    package let url: String
    /// Of the circuit breaker: `llm:<host>`, with the port where it is not the scheme's.
    package let breaker: String
    package var model: String
    /// Secret: never logged, never part of a message.
    package var key: String?
    package var systemPrompt = ""
    /// By role; text where a role is missing.
    package var answers: [String: AnswerForm] = [:]
    package var tokensMax = 4096
    package var limitField = LimitField.tokens
    package var callTimeout: Duration = .seconds(120)
    package var silenceMax: Duration = .seconds(30)
    package var slowAfter: Duration = .seconds(30)
    package var tries = 3
    /// Between two progress reports.
    package var progressInterval: Duration = .seconds(2)
    package var policy = BreakerPolicy()
    /// For a call's outcome to reach the fleet.
    private static let probeMargin: Duration = .seconds(10)
    /// How often the breaker looks at the fleet's state and at the time.
    package var breakerInterval: Duration = .seconds(1)
    package var redis: RedisConfiguration?

    /// Nil when `base` is no http or https URL with a host that can name a breaker.
    package init?(base: String, model: String) {
        guard let parts = URLComponents(string: base), let scheme = parts.scheme?.lowercased(),
            ["http", "https"].contains(scheme), let host = parts.host?.lowercased(), !host.isEmpty,
            parts.user == nil, parts.query == nil, parts.fragment == nil
        else { return nil }
        let port = parts.port.map { ":\($0)" } ?? ""
        let isUsual = parts.port == nil || parts.port == (scheme == "https" ? 443 : 80)
        breaker = "llm:" + host + (isUsual ? "" : port)
        guard BreakerRegistry.isName(breaker) else { return nil }
        var path = Substring(parts.percentEncodedPath)
        while path.hasSuffix("/") { path.removeLast() }
        url = "\(scheme)://\(parts.percentEncodedHost ?? host)\(port)\(path)/chat/completions"
        self.model = model
    }

    /// `policy`, where a probe has the time that a call may take: an answer is not a failure for being long.
    var probingPolicy: BreakerPolicy {
        var policy = policy
        policy.probeLease = max(policy.probeLease, callTimeout + Self.probeMargin)
        return policy
    }

    /// Without key and prompt.
    package var description: String { "\(model) at \(url)" }

    /// A key over plain HTTP can be read on the way.
    package var showsKey: Bool { key != nil && url.hasPrefix("http://") }

    /// Throws what is wrong with the environment's settings.
    package init(_ settings: ServiceConfiguration) throws {
        let base = try settings.url("GOLDEN_MODEL_URL")
        guard let made = ModelSettings(base: base, model: try settings.string("GOLDEN_MODEL_NAME")) else {
            throw settings.invalid(
                "GOLDEN_MODEL_URL", "must be http:// or https:// with a host, without user, query and fragment"
            )
        }
        self = made
        key = try settings.optionalSecret("GOLDEN_MODEL_KEY")
        if let key, !key.utf8.allSatisfy({ (0x21...0x7E).contains($0) }) {
            throw settings.invalid("GOLDEN_MODEL_KEY", "must be printable ASCII without spaces")
        }
        systemPrompt = try settings.optionalString("GOLDEN_MODEL_SYSTEM_PROMPT") ?? ""
        answers = try Self.answers(settings)
        tokensMax = try settings.int("GOLDEN_MODEL_MAX_TOKENS", default: tokensMax, in: 1...1_000_000)
        limitField = try settings.choice("GOLDEN_MODEL_LIMIT_FIELD", default: limitField)
        callTimeout = try settings.seconds("GOLDEN_MODEL_CALL_SECONDS", default: callTimeout, in: 1...3600)
        silenceMax = try settings.seconds("GOLDEN_MODEL_SILENCE_SECONDS", default: silenceMax, in: 0.1...600)
        slowAfter = try settings.seconds("GOLDEN_MODEL_SLOW_SECONDS", default: slowAfter, in: 0.1...600)
        tries = try settings.int("GOLDEN_MODEL_TRIES", default: tries, in: 1...10)
        if let url = try settings.optionalURL("GOLDEN_REDIS_URL") {
            let authority = try settings.optionalString("GOLDEN_REDIS_CA")
            redis = RedisConfiguration(url: url, authorityFile: authority)
            if redis == nil { throw settings.invalid("GOLDEN_REDIS_URL", "must be redis:// or rediss:// with a host") }
        }
    }

    private static func answers(_ settings: ServiceConfiguration) throws -> [String: AnswerForm] {
        var answers: [String: AnswerForm] = [:]
        for pair in try settings.list("GOLDEN_MODEL_ANSWERS", default: "") {
            let halves = pair.split(separator: "=").map(String.init)
            guard halves.count == 2, let form = AnswerForm.named[halves[1]] else {
                let forms = AnswerForm.named.keys.sorted().joined(separator: ", ")
                throw settings.invalid("GOLDEN_MODEL_ANSWERS", "must be <role>=<form>, …; forms are \(forms)")
            }
            answers[halves[0]] = form
        }
        return answers
    }
}
