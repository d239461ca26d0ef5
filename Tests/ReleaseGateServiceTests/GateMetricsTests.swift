import Bootstrap
import ReleaseGateCore
import Testing

@testable import ReleaseGateService

/// What dashboards show of releases.
@Suite(.timeLimit(.minutes(10))) struct `The gate's metrics` {
    private static func shown(_ items: [(LineageEntry.Kind, String, DeployEnvironment)]) throws -> String {
        var entries: [LineageEntry] = []
        let registry = MetricsRegistry()
        let metrics = GateMetrics(registry)
        for (number, item) in items.enumerated() {
            let event = LineageEntry.Event(
                atSeconds: 1_793_491_200 + number, environment: item.2, version: try #require(Version(item.1)),
                digests: [], kind: item.0, actor: "ann", reason: "number \(number)")
            entries.append(try Lineage.entry(event, after: entries.last))
            metrics.show(entries)
        }
        return registry.text()
    }

    @Test func `tell what runs after a way back, and nothing of what is gone`() throws {
        let sealed = [
            (LineageEntry.Kind.seal, "1.1.0", DeployEnvironment.dev), (.seal, "1.1.0", .prod), (.seal, "1.2.0", .dev),
            (.seal, "1.2.0", .prod),
        ]
        let there = try Self.shown(sealed)
        #expect(there.contains(#"release_info{environment="prod",version="1.2.0"} 1"#), "\(there)")
        let back = try Self.shown(sealed + [(.rollback, "1.2.0", .prod)])
        #expect(back.contains(#"release_info{environment="prod",version="1.1.0"} 1"#), "\(back)")
        #expect(!back.contains(#"release_info{environment="prod",version="1.2.0"}"#), "\(back)")
        #expect(back.contains(#"release_version_drift{environment="prod"} 0"#), "what was rolled back is not ahead")
        let gone = try Self.shown(sealed + [(.uninstall, "1.2.0", .prod)])
        #expect(!gone.contains(#"release_info{environment="prod""#), "\(gone)")
        #expect(gone.contains(#"release_version_drift{environment="prod"} 2"#), "\(gone)")
    }
}
