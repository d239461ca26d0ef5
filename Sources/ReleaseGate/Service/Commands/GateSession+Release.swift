internal import Contracts
internal import Foundation
internal import ReleaseGateCore

extension GateSession {
    /// Signs an approval and writes it to a file.
    package func approve(
        _ release: ReleaseFile, environment name: String, role roleName: String, signer: String, keyFile: String,
        validHours: Int, out: String
    ) async throws {
        let environment = try Self.environment(name)
        guard let role = Approval.Role(rawValue: roleName) else {
            let known = Approval.Role.allCases.map(\.rawValue).joined(separator: ", ")
            throw GateError(.invalid, "\(roleName) is no role.", next: "There are \(known).")
        }
        guard (1...24 * 90).contains(validHours) else { throw GateError(.invalid, "--hours must be 1 to 2160.") }
        let plan = try ReleasePlan(release, environment, configuration.policy)
        let envelope = try Approvals.make(
            plan, role: role, signer: signer, key: try ReleaseKey(file: keyFile), atSeconds: nowSeconds,
            forSeconds: validHours * 3600)
        try GateFiles.create(out, Array((envelope.json.text + "\n").utf8))
        console.print("\(signer) approves \(release.train.version) for \(environment.rawValue) as \(role.rawValue).")
        console.print("Plan \(try plan.sha256())")
        console.print("Written to \(out).")
    }

    /// Verifies an envelope with the keys that `gate.yaml` trusts, or with one that is given.
    package func verify(_ path: String, keyFile: String?) async throws {
        let envelope = try DSSEEnvelope(file: path)
        let signers = try envelope.verify(with: try publicKeys(keyFile), what: path)
        console.print("\(path) is \(envelope.payloadType), \(envelope.payload.count) bytes, signed by:")
        for signer in signers { console.print("  \(signer.id)") }
    }

    /// The key of a file, or those that `gate.yaml` trusts.
    func publicKeys(_ file: String?) throws(GateError) -> [ReleasePublicKey] {
        guard let file else { return try configuration.trustedKeys().map(\.key) }
        return [try ReleasePublicKey(file: file)]
    }

    /// Goes back to the version before, by hand and with a reason.
    package func rollback(
        _ release: ReleaseFile, environment name: String, reason: String, isArmed: Bool
    ) async throws {
        let environment = try Self.environment(name)
        try Self.check(reason)
        let entries = try await book.entries()
        let release = release.replacing(in: environment, by: entries)
        guard schema(of: release, in: environment, by: entries) == .compatible else {
            throw GateError(
                .refused, "The schema is past its contract step: the version before cannot run on it.",
                next: "Mend forward, or restore the backup (docs/releasing.md).")
        }
        if isArmed, let previous = release.previousVersion,
            Lineage.isRolledBack(previous, in: environment, by: entries)
        {
            throw GateError(
                .refused, "\(previous) was rolled back in \(environment.rawValue) itself: it is no way back.",
                next: "release.yaml: previousVersion, what ran before it and was good.")
        }
        if isArmed { try checkRevision(of: release, for: [.rollback]) }
        let services = try release.train.rollbackOrder()
        let places = try places(release, environment, reason: reason)
        try await carryOut(.rollback, release, environment, services, places, isArmed: isArmed)
        try await record(
            .rollback, release, environment, "\(reason) (in the order \(services.joined(separator: ", ")))", [])
        let event = LineageEntry.Event(
            atSeconds: nowSeconds, environment: environment, version: release.train.version,
            digests: release.train.digests, kind: .verification, actor: actor, reason: "", revision: release.revision)
        let runner = try runner(isArmed: isArmed)
        let each = ReleaseValues.each(release)
        let rollouts = runner.rolloutsWalking(services, each)
        try await RollbackCheck(runner: runner, book: book, console: console).run(
            event, services: services, values: places, each: each, walkedBy: rollouts)
        let name = "\(release.train.version) in \(environment.rawValue)"
        let done = rollouts.isEmpty ? "is rolled back" : "is recorded as rolled back"
        console.print(
            isArmed
                ? "\(name) \(done), and its number is burned."
                : "Nothing was run. \(name) is recorded as rolled back by hand, and its number is burned.")
    }

    /// Takes the release away from an environment. What happened to it stays in the lineage, and Helm keeps its own.
    package func uninstall(
        _ release: ReleaseFile, environment name: String, reason: String, isArmed: Bool
    ) async throws {
        let environment = try Self.environment(name)
        try Self.check(reason)
        let services = try release.train.rollbackOrder()
        try await carryOut(
            .uninstall, release, environment, services, try places(release, environment, reason: reason),
            isArmed: isArmed)
        try await record(.uninstall, release, environment, reason, [])
        let name = "\(release.train.version) in \(environment.rawValue)"
        console.print(
            isArmed ? "\(name) is uninstalled." : "Nothing was run. \(name) is recorded as uninstalled by hand.")
    }

    /// Commands that go back by the number of a revision go where they are told: to that of the way back alone.
    ///
    /// - Throws: `refused` when one of these actions does, and nobody knows the number.
    private func checkRevision(of release: ReleaseFile, for actions: [Adapter.Action]) throws(GateError) {
        let adapter = try Adapter(configuration.adapters)
        let isNamed = actions.contains { adapter.commands[$0]?.names(.previousRevision) == true }
        guard isNamed, release.previousRevision == nil else { return }
        let previous = release.previousVersion?.description ?? "what ran before"
        throw GateError(
            .refused,
            "The way back leads to \(previous) by a revision, and nobody knows which that is. Nothing was run.",
            next: "release.yaml: previousRevision, that of \(previous), with its previousVersion.")
    }

    /// Says what is about to be run, and runs it; goes on where a gate before this one was killed. A way back that was
    /// begun by a walk, or ended and is asked for once more, is looked at, too: run twice, `undo` leads forward.
    private func carryOut(
        _ action: Adapter.Action, _ release: ReleaseFile, _ environment: DeployEnvironment, _ services: [String],
        _ places: [CommandTemplate.Place: String], isArmed: Bool
    ) async throws {
        let runner = try runner(isArmed: isArmed)
        let entries = try await book.entries()
        let version = release.train.version
        let begun = WalkState(entries, environment: environment, version: version).intent
        let intent = ReleaseValues.intent(action, weight: 0)
        let isBack =
            begun == ReleaseValues.intent(.abort, weight: 0)
            || Lineage.isRolledBack(version, in: environment, by: entries)
        let isResumed = begun == intent || (action == .rollback && isBack)
        if begun != intent, runner.carriesOut(action) { try await record(.intent, release, environment, intent, []) }
        try await runner.run(
            action, services: services, values: places, each: ReleaseValues.each(release), isResumed: isResumed)
    }

    /// - Throws: `invalid` when `gate.yaml` names no namespace of the environment.
    func places(
        _ release: ReleaseFile, _ environment: DeployEnvironment, reason: String
    ) throws(GateError) -> [CommandTemplate.Place: String] {
        ReleaseValues.values(
            release, environment: environment, namespace: try configuration.namespace(of: environment), reason: reason,
            weight: 0)
    }

    private static func check(_ reason: String) throws(GateError) {
        guard reason.split(separator: " ").count >= 2 else {
            throw GateError(.invalid, "--reason must say why, in a few words: it stays in the lineage for ever.")
        }
    }

    /// Walks the canary.
    ///
    /// - Parameter supersedes: begins although another version's walk is open there, which ends by it.
    /// - Returns: the exit code of what ended it.
    /// - Throws: `refused` when it was not promoted there, another version is walked or has taken its place, or nobody
    ///   knows the revision that its way back goes by.
    package func canary(
        _ release: ReleaseFile, environment name: String, isArmed: Bool, supersedes: Bool = false
    ) async throws -> Int32 {
        let environment = try Self.environment(name)
        let entries = try await book.entries()
        let release = release.replacing(in: environment, by: entries)
        if case .barred(let why) = ReleaseStanding(release, in: environment, by: entries) {
            throw GateError(.refused, "\(why). Nothing was run.")
        }
        // Now, and not when it must go back; what replaces nothing has nowhere to go back to.
        if isArmed, release.previousVersion != nil { try checkRevision(of: release, for: [.abort, .rollback]) }
        try GateFiles.makeFolder(configuration.state)
        let lock = try FileLock("\(configuration.state)/canary.lock", what: "a walk with this state folder")
        defer { withExtendedLifetime(lock) {} }
        let walk = try walk(release, environment, by: entries, isArmed: isArmed, supersedes: supersedes)
        let outcome = try await walk.run()
        console.print("\(release.train.version) in \(environment.rawValue): \(outcome.text)")
        return outcome.exitCode
    }

    func record(
        _ kind: LineageEntry.Kind, _ release: ReleaseFile, _ environment: DeployEnvironment, _ reason: String,
        _ documents: [LineageDocument]
    ) async throws {
        let evidence = try documents.isEmpty ? nil : PromotionEvidence(documents).document
        try await book.record(
            LineageEntry.Event(
                atSeconds: nowSeconds, environment: environment, version: release.train.version,
                digests: release.train.digests, kind: kind, actor: actor, reason: reason,
                evidenceSHA256: evidence?.sha256, policySHA256: nil, revision: release.revision),
            naming: documents + (evidence.map { [$0] } ?? []))
    }
}
