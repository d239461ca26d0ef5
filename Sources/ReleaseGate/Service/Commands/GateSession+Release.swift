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
        var keys = try configuration.trustedKeys().map(\.key)
        if let keyFile { keys = [try ReleasePublicKey(file: keyFile)] }
        let signers = try envelope.verify(with: keys, what: path)
        console.print("\(path) is \(envelope.payloadType), \(envelope.payload.count) bytes, signed by:")
        for signer in signers { console.print("  \(signer.id)") }
    }

    /// Goes back to the version before, by hand and with a reason.
    package func rollback(
        _ release: ReleaseFile, environment name: String, reason: String, isArmed: Bool
    ) async throws {
        let environment = try Self.environment(name)
        try Self.check(reason)
        guard schema(of: release) == .compatible else {
            throw GateError(
                .refused, "The schema is past its contract step: the version before cannot run on it.",
                next: "Mend forward, or restore the backup (docs/releasing.md).")
        }
        let services = try release.train.rollbackOrder()
        try await carryOut(.rollback, release, environment, services, reason: reason, isArmed: isArmed)
        try await record(
            .rollback, release, environment, "\(reason) (in the order \(services.joined(separator: ", ")))", [])
        let event = LineageEntry.Event(
            atSeconds: nowSeconds, environment: environment, version: release.train.version,
            digests: release.train.digests, kind: .verification, actor: actor, reason: "", revision: release.revision)
        try await RollbackCheck(runner: try runner(isArmed: isArmed), book: book, console: console).run(
            event, services: services,
            values: ReleaseValues.values(
                release, environment: environment, namespace: configuration.namespace, reason: reason, weight: 0),
            digests: ReleaseValues.digests(release))
        console.print("\(release.train.version) is rolled back in \(environment.rawValue); its number is burned.")
    }

    /// Takes the release away from an environment. What happened to it stays in the lineage, and Helm keeps its own.
    package func uninstall(
        _ release: ReleaseFile, environment name: String, reason: String, isArmed: Bool
    ) async throws {
        let environment = try Self.environment(name)
        try Self.check(reason)
        let services = try release.train.rollbackOrder()
        try await carryOut(.uninstall, release, environment, services, reason: reason, isArmed: isArmed)
        try await record(.uninstall, release, environment, reason, [])
        console.print("\(release.train.version) is uninstalled in \(environment.rawValue).")
    }

    /// Says what is about to be run, and runs it; goes on where a gate before this one was killed.
    private func carryOut(
        _ action: Adapter.Action, _ release: ReleaseFile, _ environment: DeployEnvironment, _ services: [String],
        reason: String, isArmed: Bool
    ) async throws {
        let runner = try runner(isArmed: isArmed)
        let state = WalkState(
            try await book.entries(), environment: environment, version: release.train.version)
        let intent = ReleaseValues.intent(action, weight: 0)
        let isResumed = state.intent == intent
        if !isResumed, runner.carriesOut(action) { try await record(.intent, release, environment, intent, []) }
        try await runner.run(
            action, services: services,
            values: ReleaseValues.values(
                release, environment: environment, namespace: configuration.namespace, reason: reason, weight: 0),
            digests: ReleaseValues.digests(release), isResumed: isResumed)
    }

    private static func check(_ reason: String) throws(GateError) {
        guard reason.split(separator: " ").count >= 2 else {
            throw GateError(.invalid, "--reason must say why, in a few words: it stays in the lineage for ever.")
        }
    }

    /// Walks the canary.
    ///
    /// - Returns: the exit code of what ended it.
    package func canary(_ release: ReleaseFile, environment name: String, isArmed: Bool) async throws -> Int32 {
        let environment = try Self.environment(name)
        try await checkPromoted(release, environment)
        try GateFiles.makeFolder(configuration.state)
        let lock = try FileLock("\(configuration.state)/canary.lock", what: "a walk with this state folder")
        defer { withExtendedLifetime(lock) {} }
        let outcome = try await walk(release, environment, isArmed: isArmed).run()
        console.print("\(release.train.version) in \(environment.rawValue): \(outcome.text)")
        return outcome.exitCode
    }

    /// Beyond dev, only what a promotion checked is walked: these very digests.
    ///
    /// - Throws: `refused` when the lineage holds no promotion of them.
    private func checkPromoted(_ release: ReleaseFile, _ environment: DeployEnvironment) async throws {
        guard environment != .dev else { return }
        let promotions = try await book.entries().map(\.event).filter {
            $0.kind == .promote && $0.environment == environment && $0.version == release.train.version
        }
        guard promotions.contains(where: { Set($0.digests) == Set(release.train.digests) }) else {
            throw GateError(
                .refused, "\(release.train.version) was not promoted to \(environment.rawValue) with these digests.",
                next: "release-gate promote --env \(environment.rawValue) …")
        }
    }

    func record(
        _ kind: LineageEntry.Kind, _ release: ReleaseFile, _ environment: DeployEnvironment, _ reason: String,
        _ documents: [LineageDocument]
    ) async throws {
        try await book.record(
            LineageEntry.Event(
                atSeconds: nowSeconds, environment: environment, version: release.train.version,
                digests: release.train.digests, kind: kind, actor: actor, reason: reason,
                evidenceSHA256: documents.first?.sha256,
                policySHA256: nil, revision: release.revision), naming: documents)
    }
}
