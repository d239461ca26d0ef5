/// Goes through the decision table for one service; the first row that applies decides.
struct ServiceJudge {
    /// One row's answer: what it asks for, if it applies, and why.
    struct Answer {
        let row: Decision.Row
        /// Nil: the row does not apply.
        let outcome: Decision.Outcome?
        let reasons: [String]

        init(_ row: Decision.Row, _ outcome: Decision.Outcome?, _ reasons: [String]) {
            self.row = row
            self.outcome = outcome
            self.reasons = reasons
        }
    }

    let input: GateInput
    let evidence: ServiceEvidence
    let views: [IndicatorView]

    /// The design's limits.
    static let unreadyMaxSeconds = 600
    static let breakerOpenMaxSeconds = 120
    static let deadLettersAddedMax = 10
    static let deadLettersMax = 100
    static let deadLettersHold = 10

    init(_ input: GateInput, _ evidence: ServiceEvidence) {
        self.input = input
        self.evidence = evidence
        views = input.policy.objectives.filter { $0.service == evidence.service }.map { objective in
            IndicatorView(objective, evidence.indicators.first { $0.objective == objective.name }, in: input)
        }
    }

    /// The rows in their order. Each is asked only if none before it applies.
    private var rows: [() -> Answer] {
        [
            canaryUnhealthy, worseThanStable, provenBad, canaryDegraded, evidenceLacking, invariantBroken,
            stepRunning, stepPassed, undecided,
        ]
    }

    var decision: Decision.ServiceDecision {
        var lines: [String] = []
        for row in rows {
            let answer = row()
            for reason in answer.reasons {
                lines.append("\(answer.row.rawValue): \(answer.outcome == nil ? "no" : "yes"): \(reason)")
            }
            if let outcome = answer.outcome {
                return Decision.ServiceDecision(
                    service: evidence.service, outcome: outcome, row: answer.row, lines: lines)
            }
        }
        // `undecided` always applies.
        return Decision.ServiceDecision(service: evidence.service, outcome: .hold, row: .undecided, lines: lines)
    }

    /// Recorded before it was kept what could not be told.
    private var isFromBefore: Bool { evidence.unknownSignals == nil }

    // MARK: Rows

    private func canaryUnhealthy() -> Answer {
        let health = evidence.health
        var reasons: [String] = []
        if health.crashes > 0 { reasons.append("\(health.crashes) crashes of the canary") }
        if health.outOfMemoryKills > 0 { reasons.append("\(health.outOfMemoryKills) kills for want of memory") }
        if health.ready < health.desired, health.unreadySeconds >= Self.unreadyMaxSeconds {
            reasons.append("\(health.ready) of \(health.desired) ready after \(health.unreadySeconds) s")
        }
        if !reasons.isEmpty { return Answer(.canaryUnhealthy, .rollBack, reasons) }
        return Answer(.canaryUnhealthy, nil, ["\(health.ready) of \(health.desired) ready, no crash, memory enough"])
    }

    private func worseThanStable() -> Answer {
        let compared = views.filter(\.isCompared)
        let worse = compared.filter {
            $0.relative.isWorse(
                indicators: input.comparedIndicators, falseAlarmThousandths: input.policy.falseAlarmThousandths)
        }
        if !worse.isEmpty { return Answer(.worseThanStable, .rollBack, worse.map(comparison)) }
        return Answer(.worseThanStable, nil, compared.isEmpty ? ["nothing is compared"] : compared.map(comparison))
    }

    private func provenBad() -> Answer {
        let bad = views.filter(\.isBlocking).compactMap { view in
            badness(of: view).map { (view: view, reason: $0) }
        }
        if bad.isEmpty { return Answer(.provenBad, nil, views.filter(\.isBlocking).map(standing)) }
        let environment = bad.compactMap { stableBadness(of: $0.view) }
        if environment.count == bad.count {
            return Answer(.environmentBad, .hold, bad.map(\.reason) + environment)
        }
        return Answer(.provenBad, .rollBack, bad.map(\.reason))
    }

    private func canaryDegraded() -> Answer {
        var reasons: [String] = []
        let stableOpen = Set(evidence.breakers.filter { $0.side == .stable && $0.state != .closed }.map(\.name))
        for breaker in evidence.breakers
        where breaker.side == .canary && breaker.state == .open && breaker.forSeconds >= Self.breakerOpenMaxSeconds
            && !stableOpen.contains(breaker.name)
        {
            reasons.append("breaker \(breaker.name) open for \(breaker.forSeconds) s on the canary alone")
        }
        if let letters = evidence.deadLetters {
            let added = letters.unresolved - letters.unresolvedAtStepStart
            if added >= Self.deadLettersAddedMax { reasons.append("\(added) dead letters more in this step") }
            // Old letters are none of the release's doing, and hold. In records of before they rolled back.
            if isFromBefore, letters.unresolved > Self.deadLettersMax {
                reasons.append("\(letters.unresolved) dead letters")
            }
        }
        if !reasons.isEmpty { return Answer(.canaryDegraded, .rollBack, reasons) }
        let known = (evidence.unknownSignals ?? []).isEmpty ? "" : ", as far as is known"
        return Answer(.canaryDegraded, nil, ["no breaker open on the canary alone, few dead letters more\(known)"])
    }

    private func evidenceLacking() -> Answer {
        let lacks = views.filter(\.isBlocking).compactMap { view in
            view.lack(in: input).map { "\(view.name): \($0)" }
        }
        let unknown = (evidence.unknownSignals ?? []).map { "\($0.name): \($0.reading.lack ?? "nothing is known")" }
        if lacks.isEmpty, unknown.isEmpty {
            return Answer(.evidenceLacking, nil, ["every blocking objective has enough fresh counts"])
        }
        return Answer(.evidenceLacking, Self.lackOutcome(input), lacks + unknown + [patience])
    }

    private func invariantBroken() -> Answer {
        var reasons = evidence.breakers.filter { $0.state != .closed }.map {
            "breaker \($0.name) is \($0.state.rawValue) on \($0.side.rawValue)"
        }
        if let letters = evidence.deadLetters, letters.unresolved >= Self.deadLettersHold {
            reasons.append("\(letters.unresolved) unresolved dead letters, fewer than \(Self.deadLettersHold) allowed")
        }
        if !reasons.isEmpty { return Answer(.invariantBroken, .hold, reasons) }
        // A decision that is made again says what it said.
        let breakers = evidence.breakers.isEmpty && !isFromBefore ? "no breakers to watch" : "all breakers closed"
        let letters =
            evidence.deadLetters == nil && !isFromBefore
            ? "no dead letters to watch" : "fewer than \(Self.deadLettersHold) dead letters"
        return Answer(.invariantBroken, nil, ["\(breakers), \(letters)"])
    }

    private func stepRunning() -> Answer {
        let time = "\(input.stepElapsedSeconds) of \(input.policy.stepSeconds) s"
        return Answer(.stepRunning, input.stepsElapsed == 0 ? .wait : nil, [time])
    }

    private func stepPassed() -> Answer {
        let row = input.isLastStep ? Decision.Row.provenGood : .stepPassed
        let blocking = views.filter(\.isBlocking)
        let passes = blocking.allSatisfy { view in
            if input.stepPercent == 0 { return true }
            guard let test = view.canaryTest else { return false }
            return input.isLastStep ? test.verdict == .provenGood : test.isWithinBudget
        }
        let reasons = input.stepPercent == 0 ? ["no traffic in this step"] : blocking.map(standing)
        return Answer(row, passes ? (input.isLastStep ? .seal : .advance) : nil, reasons)
    }

    private func undecided() -> Answer { Answer(.undecided, Self.lackOutcome(input), [patience]) }
}
