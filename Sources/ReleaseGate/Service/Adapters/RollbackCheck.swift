internal import ReleaseGateCore

/// Looks at what runs after a way back, with the adapter's `verify`, and records what was found: pods that are ready
/// again, and that they work.
struct RollbackCheck {
    let runner: AdapterRunner
    let book: LineageBook
    let console: Console

    /// - Parameters:
    ///   - event: of a verification, whose decision and reason are filled in.
    ///   - rollouts: may take the way back for a canary, which gets no traffic before a person says so: what is ready
    ///     may then be the bad version.
    /// - Throws: `adapterFailed` when it is not in order, after that was recorded.
    func run(
        _ event: LineageEntry.Event, services: [String], values: [CommandTemplate.Place: String],
        each: [String: [CommandTemplate.Place: String]], walkedBy rollouts: [String] = []
    ) async throws {
        // At once: an application that waits for it is not healthy before.
        let version = values[.previousVersion] ?? "what ran before"
        for rollout in rollouts {
            let words = [
                "kubectl", "argo", "rollouts", "promote", rollout, "-n", values[.namespace] ?? "", "--full",
            ]
            console.print(
                "For the Rollout \(rollout) the way back may be a canary, which the gate does not let through. Once "
                    + "it shows \(version) as its canary, all traffic goes there by: \(CommandTemplate.shown(words))")
        }
        guard runner.isArmed else { return }
        guard runner.carriesOut(.verify) else {
            console.note("No command is configured for verify: look by hand at pods and function.")
            return
        }
        do {
            try await runner.run(.verify, services: services, values: values, each: each)
        } catch {
            // Of a release that was taken back nothing is ever verified as good: it says so either way.
            try await book.record(event.found(.hold, "after the rollback, not in order: \(error.message)"))
            throw error
        }
        guard rollouts.isEmpty else {
            let reason =
                "after the rollback: what runs is ready, and may be what was taken back until promote --full of "
                + rollouts.joined(separator: ", ")
            try await book.record(event.found(.hold, reason))
            console.print("What runs is ready. It may still be what was taken back: see promote --full above.")
            return
        }
        try await book.record(event.found(.rollBack, "after the rollback: what runs is ready and works"))
        console.print("What runs is ready and works.")
    }
}

extension LineageEntry.Event {
    fileprivate func found(_ decision: Decision.Outcome, _ reason: String) -> Self {
        Self(
            atSeconds: atSeconds, environment: environment, version: version, digests: digests, kind: kind,
            actor: actor, decision: decision, reason: reason, revision: revision)
    }
}
