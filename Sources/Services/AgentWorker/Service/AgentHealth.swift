internal import Bootstrap
internal import Contracts
internal import Coordination
internal import HTTPEdge
internal import Logging
internal import MessageBus

/// What an agent shows of itself to whoever runs it: `/health`, `/ready` and `/metrics`, where it was given a port.
/// Nobody talks to an agent for its work; that comes over the bus.
struct AgentHealth: Sendable {
    let registry = MetricsRegistry()
    private let ended: CounterFamily

    init(_ configuration: AgentWorkerConfiguration) {
        ProcessMetrics.install(in: registry)
        ended = registry.counter(
            "agent_work_items_total", "Work items that ended here, by how.", labels: ["role", "outcome"])
        let slots = Double(configuration.slots)
        registry.reading("agent_slots", "Work items that this agent does at once.") { slots }
    }

    /// - Parameter count: the work items in hand.
    func show(inHand count: @escaping @Sendable () -> Int) {
        registry.reading("agent_work_in_hand", "Work items being done.") { Double(count()) }
    }

    /// - Parameter statuses: of the circuit breakers around what the agent asks.
    func show(breakers statuses: @escaping @Sendable () -> [BreakerStatus]) {
        let states = registry.gauge(
            "circuit_breaker_state", "0 closed, 1 half-open, 2 open, as this replica acts.", labels: ["name"])
        registry.collect { for status in statuses() { states[status.name].set(status.state.rawValue) } }
    }

    func record(_ end: WorkEnd, role: AgentRole) {
        ended[role.text, end.word].add()
    }

    /// Nil without a port: agents run in numbers on one machine, so none is assumed.
    func server(_ configuration: AgentWorkerConfiguration, bus: MessageBus, logger: Logger) -> EdgeServer? {
        guard let endpoint = configuration.health else { return nil }
        let http = HTTPServerMetrics(registry)
        return EdgeServer.health(
            of: "agent-worker", version: Version.current,
            EdgeServerConfiguration(
                host: endpoint.host, port: endpoint.port, socket: endpoint.handover.socket,
                announce: endpoint.handover.announce),
            checks: [Readiness.Check("nats") { try await bus.checkHealth() }],
            metrics: EdgeMetrics(record: http.record, render: registry.text, checked: http.checked), logger: logger
        )
    }
}

extension WorkEnd {
    /// For metrics.
    fileprivate var word: String {
        switch self {
        case .reported(let body): body.word
        case .stopped: "stopped"
        case .handedBack: "handed_back"
        }
    }
}
