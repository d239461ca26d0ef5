package import FoundationEssentials
package import ReleaseGateCore

/// Walks a release through its steps: looks, decides, records, carries out. What it records is all it needs to go on
/// after it was killed.
package struct CanaryWalk: Sendable {
    let release: ReleaseFile
    /// Whether the version before can still run.
    let schema: SchemaState
    let environment: DeployEnvironment
    let policy: GatePolicy
    let collector: EvidenceCollector
    let book: LineageBook
    let runner: AdapterRunner
    let namespace: String
    let clock: GateClock
    let console: Console
    let actor: String
    /// Begins although another version's walk is open there, which ends by it.
    let supersedes: Bool
    /// Told of the moment before each look: a source that scrapes does it then.
    let beforeLook: @Sendable (Date) async throws -> Void

    package init(
        release: ReleaseFile, schema: SchemaState, environment: DeployEnvironment, policy: GatePolicy,
        collector: EvidenceCollector, book: LineageBook, runner: AdapterRunner, namespace: String, clock: GateClock,
        console: Console, actor: String, supersedes: Bool = false,
        beforeLook: @escaping @Sendable (Date) async throws -> Void = { _ in }
    ) {
        self.release = release
        self.schema = schema
        self.environment = environment
        self.policy = policy
        self.collector = collector
        self.book = book
        self.runner = runner
        self.namespace = namespace
        self.clock = clock
        self.console = console
        self.actor = actor
        self.supersedes = supersedes
        self.beforeLook = beforeLook
    }

    /// Walks until the release is sealed, rolled back or held.
    ///
    /// - Returns: the decision that ended it.
    /// - Throws: `refused` when another version has taken its place, or is walked there.
    package func run() async throws -> Decision.Outcome {
        while true {
            let state = try await state()
            switch state.phase {
            case .notBegun: try await begin(state)
            case .sealed: return .seal
            case .rolledBack: return .rollBack
            case .superseded(let other):
                throw GateError(
                    .refused,
                    "\(other) has taken the place of \(release.train.version) in \(environment.rawValue): the canary "
                        + "is that one's. Nothing was run.")
            case .decided(let outcome, let seconds): try await carryOut(outcome, state, at: seconds)
            case .walking:
                if try await look(state) == .hold { return .hold }
            }
        }
    }

    /// - Throws: `refused` when something else is walked under this version.
    private func state() async throws -> WalkState {
        let state = self.state(in: try await book.entries())
        let different = ArtifactDigest.differing(state.digests ?? release.train.digests, release.train.digests)
        guard different.isEmpty else {
            throw GateError(
                .refused,
                "\(release.train.version) is walked in \(environment.rawValue) with other digests than release.yaml "
                    + "names: \(different.joined(separator: ", ")). Nothing was run.",
                next: "Put back the release.yaml that was walked first, or cut a version for what was rebuilt.")
        }
        return state
    }

    private func state(in entries: [LineageEntry]) -> WalkState {
        WalkState(entries, environment: environment, version: release.train.version)
    }

    private var nowSeconds: Int { Int(clock.now().timeIntervalSince1970) }

    /// Appends an entry, unless the walk stands elsewhere by now: people roll back while a gate sleeps or runs
    /// commands.
    ///
    /// - Returns: whether it was appended.
    private func record(
        _ event: LineageEntry.Event, naming documents: [LineageDocument] = [], since state: WalkState
    ) async throws -> Bool {
        let entry = try await book.record(
            event, naming: documents,
            onlyIf: { stands($0, at: state) })
        return entry != nil
    }

    private func stands(_ entries: [LineageEntry], at state: WalkState) -> Bool {
        let now = self.state(in: entries)
        return now.phase == state.phase && now.step == state.step
    }

    /// - Throws: `refused` while another version's walk is open: both would be judged by the same canary.
    private func begin(_ state: WalkState) async throws {
        let percents = policy.stepPercents.map(String.init).joined(separator: ", ")
        func obstacle(in entries: [LineageEntry]) -> Version? {
            supersedes ? nil : WalkState.openWalk(entries, environment: environment, besides: release.train.version)
        }
        let entry = try await book.record(
            event(.install, nowSeconds, "canary of \(percents)%"),
            onlyIf: { stands($0, at: state) && obstacle(in: $0) == nil })
        guard entry == nil, let other = obstacle(in: try await book.entries()) else { return }
        throw GateError(
            .refused,
            "The walk of \(other) in \(environment.rawValue) is neither sealed nor rolled back, and there is one "
                + "canary. Nothing was recorded or run.",
            next: "Finish it, roll \(other) back, or give --supersede to put \(release.train.version) in its place.")
    }

    /// One look, when its time has come: all are on the grid that began with the walk. What goes on as before leaves
    /// no entry.
    ///
    /// - Returns: nil when the walk was taken elsewhere meanwhile.
    private func look(_ state: WalkState) async throws -> Decision.Outcome? {
        let elapsed = max(nowSeconds, state.step.beganSeconds) - state.beganSeconds
        let at = state.beganSeconds + (elapsed / collector.lookSeconds + 1) * collector.lookSeconds
        try await clock.sleep(Date(timeIntervalSince1970: TimeInterval(at)))
        let record = try await judge(state, atSeconds: at)
        let decision = record.decision
        console.show(Self.progress(record, policy))
        let event = try record.event(actor: actor)
        switch decision.outcome {
        case .wait, .extend: return decision.outcome
        // Started again, it holds for the same reason: that was said already.
        case .hold where state.held == event.reason: break
        case .hold, .advance, .rollBack, .seal:
            guard try await self.record(event, naming: try record.documents(), since: state) else { return nil }
        }
        console.clear()
        for line in decision.lines { console.note(line) }
        return decision.outcome
    }

    /// Gathers evidence and decides, as of a moment.
    package func judge(_ state: WalkState, atSeconds: Int) async throws -> DecisionRecord {
        let now = Date(timeIntervalSince1970: TimeInterval(atSeconds))
        try await beforeLook(now)
        let evidence = try await collector.collect(
            services: release.train.cars.map(\.service), at: state.moment(now: now), schema: schema)
        let input = GateInput(
            version: release.train.version, environment: environment, digests: release.train.digests,
            atSeconds: atSeconds, step: state.step, policy: policy, evidence: evidence)
        return DecisionRecord(input: input, decision: Gate.decide(input))
    }

    private func carryOut(_ outcome: Decision.Outcome, _ state: WalkState, at seconds: Int) async throws {
        let services = try release.train.deployOrder()
        switch outcome {
        case .advance:
            let index = state.step.index + 1
            let percent = policy.stepPercents[min(index, policy.stepPercents.count - 1)]
            guard try await carryOut(.advance, outcome, services, weight: percent, state, at: seconds) else { return }
            try await end(.step, "\(percent)%", state, decided: seconds)
        case .seal:
            guard try await carryOut(.promote, outcome, services, weight: 100, state, at: seconds) else { return }
            try await end(.seal, "proven good at every step", state, decided: seconds)
        case .rollBack:
            // Who depends on others goes first.
            let back = try release.train.rollbackOrder()
            guard try await carryOut(.abort, outcome, back, weight: 0, state, at: seconds) else { return }
            try await end(
                .rollback, "by decision, in the order \(back.joined(separator: ", "))", state, decided: seconds)
            try await RollbackCheck(runner: runner, book: book, console: console).run(
                event(.verification, max(seconds, nowSeconds), ""), services: back, values: values("", weight: 0),
                each: ReleaseValues.each(release))
        case .wait, .extend, .hold: break
        }
    }

    /// Records that a decision was carried out, as of now: commands take their time, or fail before they work, and a
    /// step has its whole time from when its weight was set.
    ///
    /// - Throws: `adapterFailed` when somebody took the walk elsewhere while commands ran.
    private func end(
        _ kind: LineageEntry.Kind, _ reason: String, _ state: WalkState, decided seconds: Int
    ) async throws {
        if try await record(event(kind, max(seconds, nowSeconds), reason), since: state) { return }
        let place = "\(release.train.version) in \(environment.rawValue)"
        throw GateError(
            .adapterFailed,
            "Something else was recorded of \(place) while these commands ran: \(kind.rawValue) was not, and what runs "
                + "may be either.",
            next: "Look at release-gate history and at what runs; after a rollback, run release-gate rollback again.")
    }

    /// Says what is about to be run before it is: a gate that was killed in between asks how far it got.
    ///
    /// - Returns: false when the walk was taken elsewhere: nothing was run then.
    private func carryOut(
        _ action: Adapter.Action, _ outcome: Decision.Outcome, _ services: [String], weight: Int, _ state: WalkState,
        at seconds: Int
    ) async throws -> Bool {
        let intent = ReleaseValues.intent(action, weight: weight)
        let isResumed = state.intent == intent
        if !isResumed, runner.carriesOut(action) {
            guard try await record(event(.intent, seconds, intent), since: state) else { return false }
        }
        let reason = "release-gate: \(outcome.rawValue) \(release.train.version) in \(environment.rawValue)"
        try await runner.run(
            action, services: services, values: values(reason, weight: weight),
            each: ReleaseValues.each(release), isResumed: isResumed)
        return true
    }

    private func values(_ reason: String, weight: Int) -> [CommandTemplate.Place: String] {
        ReleaseValues.values(
            release, environment: environment, namespace: namespace, reason: reason, weight: weight)
    }

    private func event(_ kind: LineageEntry.Kind, _ seconds: Int, _ reason: String) -> LineageEntry.Event {
        LineageEntry.Event(
            atSeconds: seconds, environment: environment, version: release.train.version,
            digests: release.train.digests, kind: kind, actor: actor, reason: reason, revision: release.revision)
    }

    /// One line of what is going on.
    static func progress(_ record: DecisionRecord, _ policy: GatePolicy) -> String {
        let step = record.input.step
        let percent = policy.stepPercents[min(step.index, policy.stepPercents.count - 1)]
        let elapsed = record.input.atSeconds - step.beganSeconds
        return "\(record.input.version) in \(record.input.environment.rawValue): step \(step.index + 1) of "
            + "\(policy.stepPercents.count) (\(percent)%), \(elapsed / 60) min \(elapsed % 60) s of "
            + "\(policy.stepSeconds / 60) min; \(record.decision.outcome.text): \(record.headline)"
    }
}

/// What commands' places are filled with.
enum ReleaseValues {
    /// How the lineage words what is about to be run: the same whenever the same is begun.
    static func intent(_ action: Adapter.Action, weight: Int) -> String { "\(action.rawValue) to \(weight)%" }

    /// Of each service: its image's digest, and what it is called in the cluster.
    static func each(_ release: ReleaseFile) -> [String: [CommandTemplate.Place: String]] {
        let values = release.train.cars.map { car in
            var own: [CommandTemplate.Place: String] = [.digest: "sha256:\(car.image.sha256)"]
            own[.object] = release.objects[car.service]
            own[.rollout] = release.rollouts.contains(car.service) ? release.objects[car.service] : nil
            return (car.service, own)
        }
        return Dictionary(values) { $1 }
    }

    static func values(
        _ release: ReleaseFile, environment: DeployEnvironment, namespace: String, reason: String, weight: Int
    ) -> [CommandTemplate.Place: String] {
        var values: [CommandTemplate.Place: String] = [
            .version: release.train.version.description, .environment: environment.rawValue, .namespace: namespace,
            .release: release.name, .weight: "\(weight)", .reason: reason,
        ]
        if let chart = release.chartSource { values[.chart] = chart }
        if let previous = release.previousVersion { values[.previousVersion] = previous.description }
        if let revision = release.revision { values[.revision] = revision }
        if let previous = release.previousRevision { values[.previousRevision] = previous }
        return values
    }
}
