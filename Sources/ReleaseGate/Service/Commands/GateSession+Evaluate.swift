internal import Contracts
internal import Foundation
internal import ReleaseGateCore

extension GateSession {
    /// What one decision is asked for.
    package struct Question: Sendable {
        package var environment = "prod"
        /// As of then; now when nil.
        package var at: Int?
        /// When the step began; by the lineage, or one step's time ago, when nil.
        package var began: Int?
        /// Counts from 1; by the lineage, or the last, when nil.
        package var step: Int?
        package var isJSON = false
        /// Keeps the decision in the lineage.
        package var isRecorded = false
        /// Where the raw samples are written to.
        package var samplesFile: String?

        package init() {}
    }

    /// Makes one decision and explains it line by line.
    ///
    /// - Returns: the exit code that stands for the outcome.
    package func evaluate(_ release: ReleaseFile, _ question: Question) async throws -> Int32 {
        let environment = try Self.environment(question.environment)
        let at = question.at ?? nowSeconds
        if question.at == nil { try await look(at: Date(timeIntervalSince1970: TimeInterval(at))) }
        let record = try await judge(release, environment, question, at: at)
        let decision = record.decision
        if question.isRecorded {
            try await book.record(try record.event(actor: actor), naming: try record.documents())
        }
        if let path = question.samplesFile {
            guard let scrape else { throw GateError(.invalid, "--samples writes what the gate scraped itself.") }
            try GateFiles.replace(path, with: scrape.history.json.bytes)
        }
        if question.isJSON {
            console.print(String(decoding: try Canonical.bytes(decision), as: UTF8.self))
        } else {
            for line in decision.lines { console.print(line) }
            console.note("Evidence from \(source.name), as of \(Self.text(at)).")
        }
        return decision.outcome.exitCode
    }

    func judge(
        _ release: ReleaseFile, _ environment: DeployEnvironment, _ question: Question, at: Int
    ) async throws -> DecisionRecord {
        let entries = try await book.entries()
        let state = WalkState(entries, environment: environment, version: release.train.version)
        if case .superseded(let other) = state.phase, state.nextWalk.map({ $0.event.atSeconds <= at }) ?? true {
            throw GateError(
                .refused,
                "\(other) has taken the place of \(release.train.version) in \(environment.rawValue): what is seen of "
                    + "the canary is not of \(release.train.version).")
        }
        let sealed = state.moment(now: Self.date(at)).sealed.map { Int(bounded: $0.timeIntervalSince1970) }
        let isWalking = state.phase == .walking && question.began == nil && question.step == nil
        let policy = configuration.policy
        let began = question.began ?? at - policy.stepSeconds
        let index = (question.step ?? policy.stepPercents.count) - 1
        guard policy.stepPercents.indices.contains(index) else {
            throw GateError(.invalid, "There is no step \(index + 1): the policy has \(policy.stepPercents.count).")
        }
        // Without a walk there is no grid of looks: what is known is one interval. A gate that scrapes knows what was
        // counted since the processes began, and of a sealed release what was counted since its seal: before, another
        // version was the stable one.
        let counted = firstSample(before: at).map { max($0, sealed ?? $0, at - Int(EvidenceCollector.rawWindow)) }
        let first = isWalking ? state.beganSeconds : min(began, counted ?? began)
        let step = isWalking ? state.step : GateInput.Step(index: index, beganSeconds: began)
        let lookSeconds = scrape == nil || isWalking ? nil : max(1, at - first)
        let collector = try collector(in: environment, lookSeconds: lookSeconds)
        let evidence = try await collector.collect(
            services: release.train.cars.map(\.service),
            at: state.moment(now: Self.date(at), walkBegan: first, step: step),
            schema: schema(of: release, in: environment, by: entries))
        let input = GateInput(
            version: release.train.version, environment: environment, digests: release.train.digests, atSeconds: at,
            step: step, policy: policy, evidence: evidence)
        return DecisionRecord(input: input, decision: Gate.decide(input))
    }

    /// The decision as of a moment, by the place that the lineage says the walk has reached; where it says that the
    /// release has none there, whatever is seen.
    ///
    /// - Parameter step: that is asked about, from 1, instead of the one that was reached.
    func currentDecision(
        _ release: ReleaseFile, _ environment: DeployEnvironment, step: Int?, at: Int
    ) async throws -> DecisionRecord {
        try await look(at: Self.date(at))
        let standing = ReleaseStanding(release, in: environment, by: try await book.entries(), isStrict: false)
        guard let decision = standing.decision else {
            var question = Question()
            question.step = step
            return try await judge(release, environment, question, at: at)
        }
        let input = GateInput(
            version: release.train.version, environment: environment, digests: release.train.digests, atSeconds: at,
            step: GateInput.Step(index: 0, beganSeconds: at), policy: configuration.policy,
            evidence: TrainEvidence(services: []))
        return DecisionRecord(input: input, decision: decision)
    }

    private func firstSample(before at: Int) -> Int? {
        let first = scrape?.history.first
        return first.map { Int(bounded: $0.timeIntervalSince1970) }
    }

    static func date(_ seconds: Int) -> Date { Date(timeIntervalSince1970: TimeInterval(seconds)) }

    /// `2026-11-28 17:00:00Z`
    static func text(_ seconds: Int) -> String {
        date(seconds).formatted(Date.ISO8601FormatStyle(dateTimeSeparator: .space))
    }
}
