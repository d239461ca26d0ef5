package import Foundation
package import Logging
internal import MessageBus
internal import NATS
internal import NIOCore
internal import Redis
package import ReleaseGateCore

/// Looks at an environment before a release goes there (or after it did): asks the live stores, the certificates and
/// the rendered manifests, and judges what they said. It changes nothing but one key in Redis that is gone at once.
package struct Preflight: Sendable {
    let targets: PreflightTargets
    let logger: Logger

    package init(targets: PreflightTargets, logger: Logger) {
        self.targets = targets
        self.logger = logger
    }

    package func report(_ environment: DeployEnvironment, at now: Date = Date()) async throws -> PreflightReport {
        PreflightRules.report(try await facts(environment, at: now))
    }

    package func facts(_ environment: DeployEnvironment, at now: Date = Date()) async throws -> PreflightFacts {
        var facts = PreflightFacts(environment: environment, atSeconds: Int(now.timeIntervalSince1970))
        facts.isAfterDeploy = targets.isAfterDeploy
        facts.isBeforeUpgrade = targets.isBeforeUpgrade
        if let path = targets.manifests {
            facts.chart = .answered(
                try ManifestReader.chart(
                    try YAMLDocument.all(in: path), connectionsKept: targets.connectionsKept))
        }
        if let path = targets.cluster {
            let text = try GateFiles.text(path == "-" ? "/dev/stdin" : path)
            let namespace = targets.namespace ?? Namespaces.usual(environment)
            facts.cluster = .answered(try ClusterReader.cluster(text, namespace: namespace, from: path))
        }
        if let compatibility = targets.compatibility { facts.compatibility = .answered(compatibility) }
        if let url = targets.postgresURL {
            facts.postgres = await PostgresProbe(url: url, migrations: targets.migrations, logger: logger).ask()
        }
        if let configuration = targets.redis {
            facts.redis = await RedisProbe(configuration: configuration, logger: logger).ask()
        }
        if let bus = targets.bus {
            facts.nats = await NATSProbe(settings: bus, isAfterDeploy: targets.isAfterDeploy, logger: logger).ask()
        }
        facts.secrets = secrets
        facts.certificates = await certificates(facts)
        for service in targets.isAfterDeploy ? targets.services : [] { facts.services.append(await ready(service)) }
        return facts
    }

    /// Strengths alone leave this function.
    private var secrets: [PreflightFacts.Secret] {
        var secrets: [PreflightFacts.Secret] = []
        func add(_ name: String, _ secret: String?, _ bytesMin: Int) {
            guard let secret else { return }
            secrets.append(PreflightFacts.Secret(name: name, secret: secret, bytesMin: bytesMin))
        }
        let least = PreflightFacts.Secret.passwordBytesMin
        add("Postgres' password", targets.postgresURL.flatMap { StoreURL($0).login?.password }, least)
        add("Redis' password", targets.redis?.password, least)
        if case .userPassword(_, let password) = targets.bus?.connection.credentials {
            add("NATS' password", password, least)
        }
        add("the tokens' secret", targets.signingSecret, PreflightFacts.Secret.signingBytesMin)
        return secrets
    }

    /// Those of the stores that are connected to by TLS, and those that were named.
    private func certificates(_ facts: PreflightFacts) async -> [PreflightFacts.Certificate] {
        var places: [(String, CertificateProbe.Opening)] = targets.certificates.map { ($0, .none) }
        if case .answered(let postgres) = facts.postgres, postgres.tls != nil, let url = targets.postgresURL {
            places += StoreURL(url).places(defaultPort: 5432).map { ($0, .postgres) }
        }
        if case .answered(let redis) = facts.redis, redis.isEncrypted, let configuration = targets.redis {
            places.append(("\(configuration.host):\(configuration.port)", .none))
        }
        if case .answered(let nats) = facts.nats, nats.isEncrypted {
            for server in targets.bus?.connection.servers ?? [] {
                places += StoreURL(server).places(defaultPort: 4222).map { ($0, .nats) }
            }
        }
        var certificates: [PreflightFacts.Certificate] = []
        for (place, opening) in places {
            do {
                let ends = try await CertificateProbe(place: place, opening: opening).endsSeconds()
                certificates.append(.init(place: place, endsSeconds: ends))
            } catch {
                certificates.append(.init(place: place, endsSeconds: nil, fault: "\(error)"))
            }
        }
        return certificates
    }

    private func ready(_ service: String) async -> PreflightFacts.Service {
        let url = "\(service)/ready"
        do {
            let answer = try await HTTPFetch()(url, timeout: .seconds(10))
            return .init(url: url, isReady: answer.status == 200, detail: "status \(answer.status)")
        } catch {
            return .init(url: url, isReady: false, detail: error.message)
        }
    }
}

extension Preflight {
    /// Runs it and prints what it found: a table, or one JSON object.
    ///
    /// - Parameter recordFile: gets the precondition that a promotion asks for, with the report's hash.
    /// - Returns: the exit code: 0 when nothing stands against a release, 10 when something does.
    package static func run(
        _ targets: PreflightTargets, environment name: String, isJSON: Bool, recordFile: String? = nil,
        logger: Logger, console: Console = Console()
    ) async throws -> Int32 {
        let environment = try GateSession.environment(name)
        let report = try await Preflight(targets: targets, logger: logger).report(environment)
        if isJSON {
            console.print(String(decoding: try Canonical.bytes(report), as: UTF8.self))
        } else {
            let rows = report.findings.map { finding in
                [
                    finding.verdict.rawValue, finding.check.rawValue, finding.requirements.joined(separator: " "),
                    finding.found,
                ]
            }
            console.table(["VERDICT", "CHECK", "FOR", "FOUND"], rows)
            for finding in report.findings where finding.verdict != .ok {
                if let next = finding.next { console.print("\(finding.check.rawValue): \(next)") }
            }
            let counts = PreflightFinding.Verdict.allCases.map { "\(report.count($0)) \($0.rawValue)" }
            console.note("\(environment.rawValue): \(counts.joined(separator: ", ")).")
        }
        if let recordFile {
            let record = try Canonical.bytes(try report.precondition())
            try GateFiles.replace(recordFile, with: record + [UInt8(ascii: "\n")])
        }
        return report.isClear ? Decision.Outcome.advance.exitCode : Decision.Outcome.hold.exitCode
    }
}
