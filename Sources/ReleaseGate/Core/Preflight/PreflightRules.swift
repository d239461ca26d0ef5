/// Judges what the stores, certificates and manifests said of themselves. Pure.
///
/// Outside of `dev`, connections must be encrypted and secrets strong; in `dev` the same is a warning, so that the
/// embedded stack on loopback is usable and still told what it lacks.
package enum PreflightRules {
    private static let day = 86_400
    /// A certificate that ends sooner is renewed too late by whoever renews it.
    package static let certificateDaysMin = 7
    package static let certificateDaysWarned = 30

    package static func report(_ facts: PreflightFacts) -> PreflightReport {
        let findings =
            postgres(facts) + redis(facts) + nats(facts) + compatibility(facts) + cluster(facts) + secrets(facts)
            + certificates(facts)
        return PreflightReport(
            environment: facts.environment, atSeconds: facts.atSeconds, findings: findings + services(facts))
    }

    /// What must hold outside of development.
    static func required(_ facts: PreflightFacts) -> PreflightFinding.Verdict {
        facts.environment == .dev ? .warning : .failed
    }

    /// What an upgrade brings by itself.
    static func brought(_ facts: PreflightFacts) -> PreflightFinding.Verdict {
        facts.isBeforeUpgrade ? .warning : .failed
    }

    /// A store that did not answer: said once, in place of everything else about it.
    static func absence<Facts>(
        _ probe: PreflightFacts.Probe<Facts>, _ check: PreflightFinding.Check, _ requirements: [String],
        setting: String
    ) -> PreflightFinding? {
        switch probe {
        case .answered: nil
        case .unreachable(let why):
            PreflightFinding(
                check, .failed, requirements, why, next: "Check \(setting), the network's policies and the server.")
        case .notAsked(let why):
            PreflightFinding(check, .unknown, requirements, why, next: "Set \(setting), or give --stack.")
        }
    }

    /// What nobody named: the embedded stack has no manifests and no cluster; whatever is deployed from a chart has.
    static func unnamed(
        _ check: PreflightFinding.Check, _ requirements: [String], _ why: String, _ facts: PreflightFacts, next: String
    ) -> PreflightFinding {
        PreflightFinding(check, facts.environment == .dev ? .warning : .unknown, requirements, why, next: next)
    }

    static func asked(
        _ check: PreflightFinding.Check, _ asks: Bool?, _ store: String, next: String
    ) -> PreflightFinding {
        switch asks {
        case true: PreflightFinding(check, .ok, ["E2"], "\(store) refuses a connection without its password")
        case false: PreflightFinding(check, .failed, ["E2"], "\(store) serves whoever connects", next: next)
        default:
            PreflightFinding(
                check, .unknown, ["E2"], "whether \(store) serves without a password could not be tried",
                next: "Give the connection with user and password.")
        }
    }

    private static func secrets(_ facts: PreflightFacts) -> [PreflightFinding] {
        facts.secrets.map { secret in
            guard let fault = secret.fault else {
                return PreflightFinding(.secretStrength, .ok, ["E1"], "\(secret.name) has \(secret.bytes) bytes")
            }
            return PreflightFinding(
                .secretStrength, required(facts), ["E1"], "\(secret.name) \(fault)",
                next: "Make a new one: openssl rand -hex 32. Put it into the vault, and restart whoever reads it.")
        }
    }

    private static func certificates(_ facts: PreflightFacts) -> [PreflightFinding] {
        facts.certificates.map { certificate in
            guard let ends = certificate.endsSeconds else {
                return PreflightFinding(
                    .certificateExpiry, .unknown, ["C7"],
                    "\(certificate.place): \(certificate.fault ?? "no certificate")",
                    next: "Check that it speaks TLS.")
            }
            let days = (ends - facts.atSeconds) / day
            let found = "\(certificate.place): until \(Timestamp.text(ends)), \(days) days"
            let next = "Renew it, and look why nobody did (cert-manager: kubectl get certificate)."
            if ends <= facts.atSeconds || days < certificateDaysMin {
                return PreflightFinding(.certificateExpiry, .failed, ["C7"], found, next: next)
            }
            if days < certificateDaysWarned {
                return PreflightFinding(.certificateExpiry, .warning, ["C7"], found, next: next)
            }
            return PreflightFinding(.certificateExpiry, .ok, ["C7"], found)
        }
    }

    private static func services(_ facts: PreflightFacts) -> [PreflightFinding] {
        facts.services.map { service in
            PreflightFinding(
                .servicesReady, service.isReady ? .ok : .failed, ["A30"], "\(service.url): \(service.detail)",
                next: service.isReady ? nil : "Look at its log; its answer names what it waits for.")
        }
    }
}
