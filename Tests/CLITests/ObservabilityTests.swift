import ArgumentParser
import Contracts
import FoundationEssentials
import Testing

@testable import golden

@Suite(.timeLimit(.minutes(5))) struct `The watchers of a stack` {
    @Test func `a factor shortens every wait and leaves the rest of the rules alone`() {
        let rules = """
            groups:
              - name: a
                interval: 1m
                rules:
                  - alert: X
                    expr: increase(x[5m]) > 1
                    for: 2m
                    annotations: {summary: "look for: 5m"}
                  - alert: Y
                    expr: y > 1
                    for: 1h
            """
        let scaled = Observability.scaled(rules, by: 0.025)
        #expect(scaled == rules.replacing("for: 2m", with: "for: 3000ms").replacing("for: 1h", with: "for: 90000ms"))
        #expect(Observability.scaled(rules, by: 0).contains("for: 0ms"))
        #expect(Observability.scaled(rules, by: 1) == rules)
    }

    @Test func `the record keeps the ports, and records of stacks without them are read`() throws {
        var record = StackRecord.sample(supervisor: nil)
        #expect(try StackRecord(json: record.json) == record)
        record.ports.observability = Observability.Ports(
            prometheus: 1, alertmanager: 2, dashboards: 3, gate: 7, peerHub: 4, supervisor: 5, dlqWorker: 6)
        #expect(try StackRecord(json: record.json) == record)
    }

    @Test func `Prometheus scrapes every process by its service's name and finds its Alertmanager`() {
        let watchers = Observability(
            options: .init(),
            ports: .init(prometheus: 1, alertmanager: 2, dashboards: 3, peerHub: 4, supervisor: 5, dlqWorker: 6),
            folder: "/f", source: "/k8s",
            targets: [("orchestrator", ["127.0.0.1:7", "127.0.0.1:8"]), ("peer-hub", ["127.0.0.1:4"])], gate: nil
        )
        let text = watchers.prometheusConfiguration
        let two = #"[{targets: ["127.0.0.1:7", "127.0.0.1:8"]}]"#
        #expect(text.contains("{job_name: orchestrator, static_configs: \(two)}"))
        #expect(text.contains(#"{job_name: peer-hub, static_configs: [{targets: ["127.0.0.1:4"]}]}"#))
        #expect(text.contains(#"- static_configs: [{targets: ["127.0.0.1:2"]}]"#))
        #expect(text.contains(#"rule_files: ["/f/rules/*.yaml"]"#))
    }

    @Test func `a shorter wait goes with the watchers`() throws {
        #expect(throws: (any Error).self) { try UpCommand.parse(["--alert-delay", "0.5"]) }
        #expect(throws: (any Error).self) { try UpCommand.parse(["--observability", "--alert-delay", "2"]) }
        let command = try UpCommand.parse(["--observability", "--alert-delay", "0.5"])
        #expect(try command.options([:]).observability == Observability.Options(alertDelay: 0.5))
        #expect(try UpCommand.parse([]).options([:]).observability == nil)
    }
}
