internal import Bootstrap
internal import Contracts
internal import Storage

/// What supervisors count, by the names that dashboards and alerts use.
struct SupervisorInstruments: Sendable {
    private let unresolved: Gauge
    private let waiting: GaugeFamily
    private let time: HistogramFamily
    private let met: CounterFamily
    private let resolved: CounterFamily
    private let analyses: CounterFamily
    private let proposals: Counter

    init(_ registry: MetricsRegistry) {
        unresolved =
            registry.gauge(
                "supervisor_unresolved_escalations", "Escalations that nobody has resolved, over all tenants.")[]
        waiting = registry.gauge(
            "supervisor_escalations", "Unresolved escalations by status (open, analyzing, waiting_for_human).",
            labels: ["status"]
        )
        time = registry.histogram(
            "escalation_resolution_time", "Seconds from an escalation to its resolution, by who resolved it.",
            labels: ["by"]
        )
        met = registry.counter(
            "supervisor_escalations_met_total",
            "Escalations by source, classification and what was done first (resolve, ask, leave_to_human).",
            labels: ["source", "classification", "step"]
        )
        resolved = registry.counter(
            "supervisor_escalations_resolved_total",
            "Resolved escalations by source, classification, resolution and who resolved them (rule, analyst, human, "
                + "orchestrator).",
            labels: ["source", "classification", "resolution", "by"]
        )
        analyses = registry.counter(
            "supervisor_analyses_total",
            "Analysts' reports by what became of them (taken, unreadable, late, foreign, unknown), and silent ones.",
            labels: ["outcome"]
        )
        proposals =
            registry.counter(
                "supervisor_proposals_total", "Prompt updates proposed because failures recurred.")[]
    }

    func met(_ met: MetEscalation) {
        let source = EscalationCause.Source(rawValue: met.escalation.source)?.rawValue ?? "other"
        self.met[source, met.plan.classification.rawValue, met.plan.step.word].add()
    }

    func resolved(_ escalation: ResolvedEscalation) {
        let source = EscalationCause.Source(rawValue: escalation.source)?.rawValue ?? "other"
        resolved[source, escalation.classification, escalation.resolution, escalation.by].add()
        time[escalation.by].observe(max(0, escalation.seconds))
    }

    func analyzed(_ outcome: AnalysisOutcome) {
        switch outcome {
        case .taken: analyses["taken"].add()
        case .unreadable: analyses["unreadable"].add()
        case .late: analyses["late"].add()
        case .foreign: analyses["foreign"].add()
        case .unknown: analyses["unknown"].add()
        }
    }

    func silent() { analyses["silent"].add() }

    func proposed() { proposals.add() }

    func show(_ counts: [String: Int]) {
        unresolved.set(counts.values.reduce(0, +))
        for status in ["open", "analyzing", "waiting_for_human"] { waiting[status].set(counts[status] ?? 0) }
    }
}

extension SupervisorStep {
    var word: String {
        switch self {
        case .resolve: "resolve"
        case .ask: "ask"
        case .leaveToHuman: "leave_to_human"
        }
    }
}
