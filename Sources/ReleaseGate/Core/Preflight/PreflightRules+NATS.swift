extension PreflightRules {
    /// Copies of a stream that survive the loss of a server.
    private static let replicasMin = 3

    static func nats(_ facts: PreflightFacts) -> [PreflightFinding] {
        guard case .answered(let nats) = facts.nats else {
            return [absence(facts.nats, .natsReached, ["C19"], setting: "GOLDEN_NATS_URL")].compactMap { $0 }
        }
        let open = [
            encryption(nats, facts),
            asked(
                .natsPassword, nats.asksForPassword, "NATS",
                next: "authorization or accounts in the server's configuration, without no_auth_user."),
            payload(nats),
        ]
        if let fault = nats.jetStreamFault {
            return open + [
                PreflightFinding(
                    .natsStreams, .failed, ["E11"], "JetStream does not answer: \(fault)",
                    next: "jetstream {} in the server's configuration, and permission for $JS.API.>.")
            ]
        }
        return open + streams(nats, facts) + [replicas(nats, facts)] + consuming(nats, facts)
    }

    private static func encryption(_ nats: PreflightFacts.NATS, _ facts: PreflightFacts) -> PreflightFinding {
        nats.isEncrypted
            ? PreflightFinding(.natsTLS, .ok, ["E2"], "encrypted, and the server's name is verified")
            : PreflightFinding(
                .natsTLS, required(facts), ["E2"], "the connection is not encrypted",
                next: "tls {} at the server, tls:// in GOLDEN_NATS_URL, GOLDEN_NATS_CA for its authority.")
    }

    private static func payload(_ nats: PreflightFacts.NATS) -> PreflightFinding {
        let isLarge = nats.payloadBytesMax >= nats.payloadBytesWanted
        return PreflightFinding(
            .natsPayload, isLarge ? .ok : .warning, ["E11"],
            "messages of \(nats.payloadBytesMax) bytes at most; a task's output may need \(nats.payloadBytesWanted)",
            next: isLarge ? nil : "max_payload: \(nats.payloadBytesWanted >> 20)MB")
    }

    /// One finding for each stream or consumer that is not as declared.
    private static func streams(_ nats: PreflightFacts.NATS, _ facts: PreflightFacts) -> [PreflightFinding] {
        guard !nats.drift.isEmpty else {
            return [
                PreflightFinding(
                    .natsStreams, .ok, ["E11"],
                    "\(nats.streamsDeclared) streams and \(nats.consumersDeclared) consumers are as declared")
            ]
        }
        return nats.drift.map { drift in
            let found = drift.isMissing ? "\(drift.object) is missing" : "\(drift.object): \(drift.differences)"
            return PreflightFinding(
                .natsStreams, brought(facts), ["E11"], found,
                next: "orchestrator jetstream setup; what it cannot change it names: drain and delete that first.")
        }
    }

    private static func replicas(_ nats: PreflightFacts.NATS, _ facts: PreflightFacts) -> PreflightFinding {
        let isSafe = nats.replicas >= replicasMin
        let verdict: PreflightFinding.Verdict = facts.environment == .prod ? .failed : .ok
        return PreflightFinding(
            .natsReplicas, isSafe ? .ok : verdict, ["E11"],
            "\(nats.replicas) \(nats.replicas == 1 ? "copy" : "copies") of each stream",
            next: isSafe || verdict == .ok ? nil : "A cluster of three servers, and GOLDEN_NATS_REPLICAS=3.")
    }

    /// After a deploy, somebody must be asking every consumer for messages: a worker that is up and does not pull looks
    /// healthy from outside.
    private static func consuming(_ nats: PreflightFacts.NATS, _ facts: PreflightFacts) -> [PreflightFinding] {
        guard facts.isAfterDeploy else { return [] }
        let idle = nats.consumers.filter { ($0.pullsWaiting ?? 0) == 0 }
        guard !idle.isEmpty else {
            return [
                PreflightFinding(
                    .natsConsuming, .ok, ["E14", "A30"],
                    "somebody pulls from each of \(nats.consumers.count) consumers")
            ]
        }
        return [
            PreflightFinding(
                .natsConsuming, .failed, ["E14", "A30"],
                "nobody pulls from \(idle.map(\.name).sorted().joined(separator: ", "))",
                next: "Look at the pods of whoever the consumer is named after.")
        ]
    }
}
