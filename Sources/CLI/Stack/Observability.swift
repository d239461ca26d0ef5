internal import Contracts
internal import FoundationEssentials

/// `golden up --observability`: Debian's Prometheus and Alertmanager over the stack with the chart's own alert rules,
/// and a page that draws the dashboards.
struct Observability: Sendable {
    struct Options: Sendable, Equatable {
        /// What every rule's `for:` is multiplied with; for tests, which cannot wait as long as people can.
        var alertDelay = 1.0
    }

    /// Besides its own four, ports for the services that otherwise listen on any free one.
    struct Ports: Sendable, Equatable {
        var prometheus: Int
        var alertmanager: Int
        var dashboards: Int
        /// Nil in records of builds that started none.
        var gate: Int?
        var peerHub: Int
        var supervisor: Int
        var dlqWorker: Int
    }

    static let prometheusName = "prometheus"
    static let alertmanagerName = "alertmanager"
    static let dashboardsName = "dashboards"
    static let gateName = "release-gate"
    static let scrapeSeconds = 5

    let options: Options
    let ports: Ports
    /// Where configuration and data lie.
    let folder: String
    /// The repository's `k8s` folder, which holds the rules and the dashboards.
    let source: String
    /// Addresses to scrape, by the name that `job` carries in the rules and in the chart's ServiceMonitors.
    let targets: [(job: String, addresses: [String])]

    /// The release gate, where it was built; without it the dashboard of releases has no data.
    let gate: String?

    private var rules: String { "\(folder)/rules" }
    private var gateConfigurationFile: String { "\(folder)/gate.yaml" }
    /// Beside `k8s`.
    private var release: String { "\(source)/../release" }

    /// What `release-gate serve` watches: this stack through its Prometheus, and releases in a folder of its own. Other
    /// commands of the gate that are given this file add to what it shows.
    private var gateConfiguration: String {
        """
        # Written by golden at every start; changes here are lost.
        objectives: ["\(release)/slo/orchestrator.yaml"]
        source: {prometheus: "http://127.0.0.1:\(ports.prometheus)"}
        signals: {breakers: 'circuit_breaker_state{name!~"webhook:.*"}'}
        lineage: "\(folder)/release/lineage"
        state: "\(folder)/release/state"

        """
    }

    var prometheusConfiguration: String {
        var text = """
            # Written by golden at every start; changes here are lost.
            global:
              scrape_interval: \(Self.scrapeSeconds)s
              evaluation_interval: \(Self.scrapeSeconds)s
            rule_files: ["\(rules)/*.yaml"]
            alerting:
              alertmanagers:
                - static_configs: [{targets: ["127.0.0.1:\(ports.alertmanager)"]}]
            scrape_configs:

            """
        for (job, addresses) in targets {
            let list = addresses.map { "\"\($0)\"" }.joined(separator: ", ")
            text += "  - {job_name: \(job), static_configs: [{targets: [\(list)]}]}\n"
        }
        return text
    }

    /// Tells nobody: whoever wants to know looks at Alertmanager itself.
    static let alertmanagerConfiguration = """
        # Written by golden at every start; changes here are lost.
        route: {receiver: nobody, group_by: [alertname], group_wait: 1s, group_interval: 5s}
        receivers: [{name: nobody}]

        """

    /// The rules with every `for:` multiplied and nothing else touched.
    static func scaled(_ rules: String, by factor: Double) -> String {
        guard factor != 1 else { return rules }
        return rules.split(separator: "\n", omittingEmptySubsequences: false).map { line in
            let words = line.split(separator: " ")
            guard words.count == 2, words[0] == "for:", let seconds = seconds(words[1]) else { return String(line) }
            let indent = line.prefix { $0 == " " }
            return "\(indent)for: \(Int((seconds * factor * 1000).rounded()))ms"
        }
        .joined(separator: "\n")
    }

    private static func seconds(_ text: Substring) -> Double? {
        let units = ["s": 1.0, "m": 60, "h": 3600, "d": 86_400]
        guard let last = text.last, let unit = units[String(last)], let number = Double(text.dropLast()) else {
            return nil
        }
        return number * unit
    }

    /// Writes what the programs read.
    func prepare() throws(CLIError) {
        do {
            let files = FileManager.default
            for folder in [rules, "\(folder)/\(Self.prometheusName)", "\(folder)/\(Self.alertmanagerName)"] {
                try files.createDirectory(atPath: folder, withIntermediateDirectories: true)
            }
            for old in try files.contentsOfDirectory(atPath: rules) { try files.removeItem(atPath: "\(rules)/\(old)") }
            let chart = "\(source)/\(Sibling.rulesFolder)"
            for name in try files.contentsOfDirectory(atPath: chart) where name.hasSuffix(".yaml") {
                let text = try String(contentsOfFile: "\(chart)/\(name)", encoding: .utf8)
                try StackFolder.write(Self.scaled(text, by: options.alertDelay), to: "\(rules)/\(name)")
            }
        } catch let error as CLIError {
            throw error
        } catch {
            throw CLIError(.folderUnusable, "The alert rules could not be written to \(rules).", underlying: error)
        }
        try StackFolder.write(prometheusConfiguration, to: "\(folder)/prometheus.yml")
        try StackFolder.write(Self.alertmanagerConfiguration, to: "\(folder)/alertmanager.yml")
        try StackFolder.write(gateConfiguration, to: gateConfigurationFile)
    }

    func specs(environment: [String: String]) throws(CLIError) -> [ProcessSpec] {
        let prometheus = "http://127.0.0.1:\(ports.prometheus)"
        let watchers = [
            spec(
                Self.alertmanagerName, try Self.program("prometheus-alertmanager", environment), ports.alertmanager,
                [
                    "--config.file=\(folder)/alertmanager.yml", "--cluster.listen-address=",
                    "--storage.path=\(folder)/\(Self.alertmanagerName)",
                    "--web.listen-address=127.0.0.1:\(ports.alertmanager)",
                ], environment),
            spec(
                Self.prometheusName, try Self.program("prometheus", environment), ports.prometheus,
                [
                    "--config.file=\(folder)/prometheus.yml", "--storage.tsdb.path=\(folder)/\(Self.prometheusName)",
                    "--web.listen-address=127.0.0.1:\(ports.prometheus)",
                ], environment),
            spec(
                Self.dashboardsName, try Programs.require("python3", package: "python3", environment: environment),
                ports.dashboards,
                ["\(source)/dashboards/serve.py", "--port", "\(ports.dashboards)", "--prometheus", prometheus],
                environment),
        ]
        return watchers + gateSpecs(environment: environment)
    }

    /// The gate, where there is one. Nobody asks it to decide, so that its token is made up anew for each start.
    func gateSpecs(environment: [String: String]) -> [ProcessSpec] {
        guard let gate else { return [] }
        var environment = environment
        environment["GOLDEN_GATE_TOKEN"] = StackSecrets.random()
        let files = ["--config", gateConfigurationFile, "--release", "\(release)/stack-release.yaml"]
        return [
            ProcessSpec(
                name: Self.gateName, executable: gate, arguments: ["serve"] + files + ["--env", "dev"],
                environment: environment, isOptional: true, probe: .alive(.milliseconds(300)), port: ports.gate)
        ]
    }

    /// Debian's packages of both are named after their programs.
    private static func program(_ name: String, _ environment: [String: String]) throws(CLIError) -> String {
        try Programs.require(name, package: name, environment: environment)
    }

    private func spec(
        _ name: String, _ program: String, _ port: Int, _ arguments: [String], _ environment: [String: String]
    ) -> ProcessSpec {
        ProcessSpec(
            name: name, executable: program, arguments: arguments, environment: environment,
            address: "127.0.0.1:\(port)", probe: Self.probe("127.0.0.1:\(port)")
        )
    }

    /// All three answer here once they do their work.
    static func probe(_ address: String) -> Probe { .http(url: "http://\(address)/-/ready") }
}

extension Observability.Ports {
    /// The port of a service that otherwise takes any.
    func port(of program: String) -> Int? {
        ["peer-hub": peerHub, "supervisor": supervisor, "dlq-worker": dlqWorker][program]
    }

    var json: JSON {
        JSONWriter.object { writer in
            writer.field("prometheus", prometheus)
            writer.field("alertmanager", alertmanager)
            writer.field("dashboards", dashboards)
            writer.field(ifPresent: "gate", gate)
            writer.field("peer_hub", peerHub)
            writer.field("supervisor", supervisor)
            writer.field("dlq_worker", dlqWorker)
        }
    }

    init(json: JSON) throws(JSONError) {
        var reader = try JSONReader(json, path: "observability")
        self.init(
            prometheus: try reader.int("prometheus"), alertmanager: try reader.int("alertmanager"),
            dashboards: try reader.int("dashboards"), gate: try reader.optionalInt("gate"),
            peerHub: try reader.int("peer_hub"),
            supervisor: try reader.int("supervisor"), dlqWorker: try reader.int("dlq_worker")
        )
    }

    /// Those of last time where they are still free.
    init(
        last: Observability.Ports?, keep: (Int?) throws(CLIError) -> Int
    ) throws(CLIError) {
        self.init(
            prometheus: try keep(last?.prometheus), alertmanager: try keep(last?.alertmanager),
            dashboards: try keep(last?.dashboards), gate: try keep(last?.gate), peerHub: try keep(last?.peerHub),
            supervisor: try keep(last?.supervisor), dlqWorker: try keep(last?.dlqWorker)
        )
    }
}

extension StackPlan {
    /// A program that the stack can do without; nil where it was not built.
    func optional(_ program: String) -> String? {
        do { return try Sibling.path(program, environment: caller) } catch { return nil }
    }

    /// Nil unless it was asked for.
    func observability() throws(CLIError) -> Observability? {
        guard let wanted = options.observability, let ports = ports.observability else { return nil }
        let orchestrators = (0..<options.orchestrators).map { "127.0.0.1:\(self.ports.api + $0)" }
        var targets = [("orchestrator", orchestrators)]
        for program in ["peer-hub", "supervisor", "dlq-worker"] {
            if let port = ports.port(of: program) { targets.append((program, ["127.0.0.1:\(port)"])) }
        }
        if let port = self.ports.sandbox { targets.append((Self.sandboxName, ["127.0.0.1:\(port)"])) }
        let gate = optional(Observability.gateName)
        if gate != nil, let port = ports.gate { targets.append((Observability.gateName, ["127.0.0.1:\(port)"])) }
        return Observability(
            options: wanted, ports: ports, folder: options.folder.observability,
            source: try Sibling.k8s(environment: caller), targets: targets, gate: gate
        )
    }
}
