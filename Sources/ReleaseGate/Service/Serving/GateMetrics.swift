internal import Bootstrap
internal import ReleaseGateCore

/// What dashboards show of releases, worked out from the lineage.
struct GateMetrics: Sendable {
    private let registry: MetricsRegistry
    private let drift: GaugeFamily
    private let deployments: GaugeFamily
    private let rollbacks: GaugeFamily
    private let rollbackRate: GaugeFamily
    private let leadTime: Gauge
    private let decisions: GaugeFamily
    private let running: GaugeFamily
    private let newestEvent: GaugeFamily

    init(_ registry: MetricsRegistry) {
        self.registry = registry
        drift = registry.gauge(
            "release_version_drift", "Releases that were sealed in dev since the one that runs in this environment.",
            labels: ["environment"])
        deployments = registry.gauge(
            "release_deployments", "Releases that began in this environment.", labels: ["environment"])
        rollbacks = registry.gauge(
            "release_rollbacks", "Releases that were rolled back in this environment.", labels: ["environment"])
        rollbackRate = registry.gauge(
            "release_rollback_ratio", "Rolled back releases of those that began.", labels: ["environment"])
        leadTime =
            registry.gauge(
                "release_lead_time_seconds", "From the cut to the seal in production, of the newest release there.")[]
        decisions = registry.gauge(
            "release_decisions", "Decisions in the lineage, by outcome.", labels: ["environment", "outcome"])
        running = registry.gauge(
            "release_info", "1 for the version that runs in each environment: sealed, or deployed by Helm.",
            labels: ["environment", "version"])
        newestEvent = registry.gauge(
            "release_event_timestamp_seconds", "When something of this kind last happened to a release.",
            labels: ["environment", "event"])
    }

    /// Brings everything up to date.
    func show(_ entries: [LineageEntry]) {
        let burned = Set(entries.filter { $0.event.kind == .rollback }.map(\.event.version))
        let sealedInDev = entries.filter { $0.event.kind == .seal && $0.event.environment == .dev }
            .map(\.event.version).filter { !burned.contains($0) }
        for environment in DeployEnvironment.allCases {
            let mine = entries.filter { $0.event.environment == environment }
            let begun = mine.count { $0.event.kind == .install || $0.event.kind == .imported }
            let back = mine.count { $0.event.kind == .rollback || Self.hasFailedInHelm($0.event) }
            deployments[environment.rawValue].set(begun)
            rollbacks[environment.rawValue].set(back)
            rollbackRate[environment.rawValue].set(begun == 0 ? 0 : Double(back) / Double(begun))
            for outcome in Decision.Outcome.allCases {
                let count = mine.count { $0.event.kind == .decision && $0.event.decision == outcome }
                decisions[environment.rawValue, outcome.rawValue].set(count)
            }
            for entry in mine {
                newestEvent[environment.rawValue, entry.event.kind.rawValue].set(entry.event.atSeconds)
            }
            let current = Lineage.running(in: environment, by: entries)?.event.version
            drift[environment.rawValue].set(
                sealedInDev.count { candidate in current.map { candidate > $0 } ?? true })
            for version in Set(mine.filter(\.event.isDeployment).map(\.event.version)) where version != current {
                running.remove(environment.rawValue, version.description)
            }
            if let current { running[environment.rawValue, current.description].set(1) }
        }
        if let seal = entries.last(where: { $0.event.kind == .seal && $0.event.environment == .prod }),
            let cut = entries.last(where: {
                $0.event.kind == .cut && $0.event.version.release == seal.event.version.release
            })
        {
            leadTime.set(seal.event.atSeconds - cut.event.atSeconds)
        }
    }

    /// What `HelmHistory` wrote down of a revision's state and description.
    private static func hasFailedInHelm(_ event: LineageEntry.Event) -> Bool {
        event.kind == .imported && (event.reason.hasPrefix("helm: failed") || event.reason.contains("Rollback to"))
    }
}
