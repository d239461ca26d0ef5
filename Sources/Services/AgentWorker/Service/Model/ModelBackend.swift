internal import AgentWorkerCore
internal import Contracts
internal import Coordination
internal import FoundationEssentials
internal import Logging
internal import Synchronization

/// Has a language model do the work: asks a chat endpoint, reads the answer as it is written, and checks its form.
///
/// Every call goes through the endpoint's circuit breaker. While that is open work in hand goes back as the same
/// attempt, as long as its deadline leaves time to wait; only what cannot wait fails, to be tried again.
struct ModelBackend: Backend {
    /// How often an answer that does not fit is asked for again.
    static let repairsMax = 1
    /// A longer wish of the endpoint's is left to the next attempt.
    static let waitMax: Duration = .seconds(10)
    /// Before another agent is offered what was handed back.
    static let handBackDelay: Duration = .seconds(1)
    /// What a handed-back item needs beyond the breaker's wait, for the answer itself.
    static let answerTimeMin: Duration = .seconds(2)
    /// Fewer tokens than this are no answer.
    static let answerTokensMin = 16
    private static let retryBase: Duration = .milliseconds(250)

    let client: ModelClient
    let breaker: CircuitBreaker
    let intake: AsyncStream<Intake>
    let logger: Logger

    private var settings: ModelSettings { client.settings }

    private enum Reply: Sendable {
        case answered(ChatStream)
        case failed(ModelFailure)
        /// The breaker let nothing through.
        case refused(BreakerRefusal)
        case cancelled
    }

    func work(on assignment: Assignment) async -> WorkEnd {
        let item = assignment.item
        let question: ModelQuestion
        do throws(JSONError) {
            let instructions = [settings.systemPrompt, item.prompt ?? ""]
            question =
                item.kind == "review"
                ? ModelQuestion(reviewing: item.input, role: item.role, instructions: instructions)
                : try ModelQuestion(
                    item.input, instructions: instructions, form: settings.answers[item.role.text] ?? .text,
                    plan: item.plan, previous: item.previous
                )
        } catch {
            return .reported(.rejected(reason: "No model can be asked this: \(error)."))
        }
        let meter = TokenMeter()
        return await withTaskGroup(of: WorkEnd?.self) { group in
            group.addTask {
                await assignment.stop.wait()
                return assignment.stop.reason == nil ? nil : .stopped(nil)
            }
            group.addTask {
                await tell(assignment, meter)
                return nil
            }
            group.addTask { await converse(question, assignment, meter) }
            var end: WorkEnd?
            while end == nil, let next = await group.next() { end = next }
            group.cancelAll()
            await group.waitForAll()
            if case .reported(let body)? = end { return .reported(body) }
            if case .handedBack(let delay)? = end { return .handedBack(after: delay) }
            return .stopped(meter.usage)
        }
    }

    /// Progress now and then; whoever waits for it to be stored does not hold up the answer.
    private func tell(_ assignment: Assignment, _ meter: TokenMeter) async {
        var told = 0
        while true {
            do { try await Task.sleep(for: settings.progressInterval) } catch {
                // The answer is there.
                return
            }
            let bytes = meter.answerBytes
            guard bytes > 0, bytes != told else { continue }
            told = bytes
            let data = JSONWriter.object { $0.field("answer_bytes", bytes) }
            await assignment.progress(
                StderrReader.Progress(message: "The model is answering.", data: data, usage: meter.usage)
            )
        }
    }

    /// Asks until an answer fits; nil when cancelled.
    private func converse(_ first: ModelQuestion, _ assignment: Assignment, _ meter: TokenMeter) async -> WorkEnd? {
        var question = first
        var repairs = 0
        while true {
            let answer: ChatStream
            switch await ask(question, assignment.item, meter) {
            case .cancelled: return nil
            case .failed(let failure): return .reported(failure.report(usage: meter.usage))
            case .refused(let refusal): return refused(refusal, assignment.item, meter)
            case .answered(let stream): answer = stream
            }
            if answer.finish == .filtered || !answer.refusal.isEmpty {
                return .reported(Self.declined(answer).report(usage: meter.usage))
            }
            do throws(JSONError) {
                return .reported(.completed(output: try question.form.output(of: answer), usage: meter.usage))
            } catch {
                if answer.finish == .length { return .reported(Self.cutShort.report(usage: meter.usage)) }
                guard repairs < Self.repairsMax else {
                    return .reported(Self.misfit(error).report(usage: meter.usage))
                }
                repairs += 1
                question = first.repaired(after: answer.text, error)
                logger.info(
                    "asks again for an answer that fits",
                    metadata: [
                        "task_id": "\(assignment.item.task)", "problem": "\(error)",
                        "trace_id": "\(TraceContext.id(of: assignment.traceparent))",
                    ]
                )
            }
        }
    }

    /// One answer, with as many calls as that may take.
    private func ask(_ question: ModelQuestion, _ item: WorkItem, _ meter: TokenMeter) async -> Reply {
        var calls = 0
        while true {
            // Before the breaker is asked: what is not paid for makes no call, and must use up no probe.
            guard let tokensMax = tokensMax(question, item, meter) else { return .failed(Self.budgetTooSmall) }
            let ticket: CircuitBreaker.Ticket
            switch await breaker.admit() {
            case .refused(let refusal): return Task.isCancelled ? .cancelled : .refused(refusal)
            case .admitted(let admitted): ticket = admitted
            }
            calls += 1
            let timeLeft = Duration.seconds(item.deadline.timeIntervalSinceNow)
            let body = question.body(
                model: settings.model, limitField: settings.limitField.rawValue, tokensMax: tokensMax
            )
            meter.begin(question)
            let outcome = await client.ask(Array(body.bytes), within: timeLeft) { meter.heard($0) }
            breaker.finish(ticket, verdict(outcome))
            guard let outcome else { return .cancelled }
            switch outcome.result {
            case .success(let stream):
                meter.end(tokens: stream.usageTokens, answer: stream.text)
                return .answered(stream)
            case .failure(let failure):
                meter.fail(isUnanswered: failure.isRepeatable || outcome.firstWord == nil)
                guard failure.isRepeatable, calls < settings.tries, await pause(failure, calls, item) else {
                    return Task.isCancelled ? .cancelled : .failed(failure)
                }
                logger.info(
                    "calls the model again", metadata: ["code": "\(failure.code.rawValue)", "calls": "\(calls)"])
            }
        }
    }

    /// Who refuses a key or a request is there: probes that end so close the breaker, and the next work is told why.
    private func verdict(_ outcome: ModelClient.Outcome?) -> BreakerOutcome {
        guard let outcome else { return .ignored }
        switch outcome.result {
        case .failure(let failure) where failure.isOutage: return .failure
        case .failure(let failure) where !failure.isAnswer: return .ignored
        case .success, .failure: return (outcome.firstWord ?? .zero) > settings.slowAfter ? .slow : .success
        }
    }

    /// Nil when what is left of the budget does not pay for it.
    private func tokensMax(_ question: ModelQuestion, _ item: WorkItem, _ meter: TokenMeter) -> Int? {
        guard let left = item.budgetLeft else { return settings.tokensMax }
        let room = left - (meter.usage?.tokens ?? 0) - question.tokensEstimate
        return room >= Self.answerTokensMin ? min(settings.tokensMax, room) : nil
    }

    /// False when the same call is not worth making again within this attempt.
    private func pause(_ failure: ModelFailure, _ calls: Int, _ item: WorkItem) async -> Bool {
        let backoff = Self.retryBase * (1 << (calls - 1)) * Double.random(in: 0.5...1)
        let wait = max(backoff, .seconds(failure.retryAfterSeconds ?? 0))
        guard wait <= Self.waitMax, wait + Self.answerTimeMin < .seconds(item.deadline.timeIntervalSinceNow) else {
            return false
        }
        do { try await Task.sleep(for: wait) } catch { return false }
        return true
    }

    private func refused(_ refusal: BreakerRefusal, _ item: WorkItem, _ meter: TokenMeter) -> WorkEnd {
        let timeLeft = Duration.seconds(item.deadline.timeIntervalSinceNow)
        if meter.usage == nil, refusal.retryAfter + Self.answerTimeMin < timeLeft {
            return .handedBack(after: Self.handBackDelay)
        }
        let seconds = min(Int(refusal.retryAfter.components.seconds) + 1, ModelFailure.retryAfterSecondsMax)
        let failure = ModelFailure(
            .unavailable, "The circuit breaker \(refusal.name) is \(refusal.state.word): the model was not asked.",
            isRetryable: true, isOutage: false, retryAfterSeconds: seconds
        )
        return .reported(failure.report(usage: meter.usage))
    }

    // MARK: Answers that are none

    private static func declined(_ answer: ChatStream) -> ModelFailure {
        let words = answer.refusal.isEmpty ? "" : ": " + StderrReader.cut(answer.refusal, ModelFailure.quoteBytesMax)
        return ModelFailure(.declined, "The model declined to answer\(words).", isRetryable: false, isOutage: false)
    }

    private static let cutShort = ModelFailure(
        .cutShort, "The answer reached its bound on tokens before it was whole; give it more, or ask for less.",
        isRetryable: true, isOutage: false
    )

    private static func misfit(_ problem: JSONError) -> ModelFailure {
        let what = StderrReader.cut("\(problem)", ModelFailure.quoteBytesMax)
        return ModelFailure(
            .doesNotFit, "The model's answer is not what was asked for: \(what).", isRetryable: true, isOutage: false
        )
    }

    private static let budgetTooSmall = ModelFailure(
        .budgetTooSmall, "What is left of the budget does not pay for the question and an answer.",
        isRetryable: false, isOutage: false
    )
}

/// The tokens one attempt has used: as the endpoint counts them, and estimated where it has not.
private final class TokenMeter: Sendable {
    private struct State {
        var used = 0
        /// Of the call under way.
        var questionEstimate = 0
        var answerBytes = 0
    }
    private let state = Mutex(State())

    /// Nil while nothing was used.
    var usage: AgentReport.Usage? {
        let tokens = state.withLock { state in
            state.used
                + (state.answerBytes > 0 ? state.questionEstimate + TokenEstimate.tokens(bytes: state.answerBytes) : 0)
        }
        return tokens > 0 ? AgentReport.Usage(tokens: tokens) : nil
    }

    /// Of the answer that comes in at the moment.
    var answerBytes: Int { state.withLock { $0.answerBytes } }

    func begin(_ question: ModelQuestion) {
        let estimate = question.tokensEstimate
        state.withLock { $0.questionEstimate = estimate }
    }

    func heard(_ textBytes: Int) { state.withLock { $0.answerBytes = textBytes } }

    func end(tokens: Int?, answer: String) {
        state.withLock { state in
            state.used += tokens ?? state.questionEstimate + TokenEstimate.tokens(bytes: answer.utf8.count)
            state.answerBytes = 0
        }
    }

    /// - Parameter isUnanswered: nothing was written, so nothing is to be paid.
    func fail(isUnanswered: Bool) {
        state.withLock { state in
            if !isUnanswered, state.answerBytes > 0 {
                state.used += state.questionEstimate + TokenEstimate.tokens(bytes: state.answerBytes)
            }
            state.answerBytes = 0
        }
    }
}
