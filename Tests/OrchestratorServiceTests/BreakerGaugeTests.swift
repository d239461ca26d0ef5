import Bootstrap
import Coordination
import Testing

@testable import OrchestratorService

/// What is shown of breakers, of which tenants' hosts make some come and go.
@Suite struct `Breaker gauges` {
    @Test func `a breaker that was retired is shown no longer, and leaves its series to others`() throws {
        let registry = BreakerRegistry(
            redis: nil, replica: "test", replicas: { 1 }, logger: OrchestratorUnderTest.quiet)
        let metrics = MetricsRegistry(seriesMax: 2)
        Breakers.show(registry, in: metrics)
        _ = try registry.breaker("external_api")
        for number in 0..<5 {
            let name = "webhook:acme:\(number).example"
            _ = try registry.breaker(name)
            #expect(metrics.text().contains(#"circuit_breaker_state{name="\#(name)"} 0"#))
            #expect(registry.retire(name))
            let text = metrics.text()
            #expect(!text.contains(name) && text.contains(#"circuit_breaker_state{name="external_api"} 0"#))
        }
        #expect(metrics.text().contains("metrics_series_dropped_total 0"))
    }
}
