package import Contracts
internal import HTTPTypes
internal import Hummingbird

/// `/health`, `/ready` and `/metrics`, which every service has.
package struct HealthRoutes: Sendable {
    /// Of the operations that nobody calls for work: probes and scrapes.
    static let tag = "health"

    private let service: String
    private let version: String
    private let readiness: Readiness
    private let metrics: EdgeMetrics
    private let details: [(name: String, value: JSON)]

    /// - Parameter details: what else `/health` shows, as it was at the start.
    package init(
        service: String, version: String, readiness: Readiness, metrics: EdgeMetrics,
        details: [(name: String, value: JSON)] = []
    ) {
        self.details = details
        self.service = service
        self.version = version
        self.readiness = readiness
        self.metrics = metrics
    }

    package var routes: [Route] { [health, ready, prometheus] }

    /// Answers as long as the process can answer at all; asks nobody else.
    private var health: Route {
        let body = JSONWriter.object {
            $0.field("status", "ok")
            $0.field("service", service)
            $0.field("version", version)
            for (name, value) in details { $0.field(name, value) }
        }
        let schema = Schema.object([
            .required("status", .choice(["ok"])), .required("service", .text()), .required("version", .text()),
        ])
        return Route(
            .get, "/health", access: .open, rateLimit: .never,
            operation: Operation(
                id: "getHealth", summary: "Is the process alive?", tag: Self.tag,
                answers: [Answer(.ok, "It is.", .json(schema))]
            ),
            handler: { _, _ in .json(body) }
        )
    }

    private var ready: Route {
        let checks = Schema.map(of: .choice(["ok", "failed", "timed_out"]))
        let schema = Schema.object([.required("status", .choice(["ready"])), .required("checks", checks)])
        let readiness = readiness
        return Route(
            .get, "/ready", access: .open, rateLimit: .never,
            operation: Operation(
                id: "getReadiness", summary: "Can the service do its work now?", tag: Self.tag,
                answers: [Answer(.ok, "It can.", .json(schema))], problems: [.notReady]
            ),
            handler: { _, _ in try await Self.answer(readiness) }
        )
    }

    private static func answer(_ readiness: Readiness) async throws(Problem) -> Response {
        let report = await readiness.report()
        let checks = JSONWriter.object { writer in
            for (name, outcome) in report.outcomes { writer.field(name, outcome.rawValue) }
        }
        if report.isReady {
            return .json(
                JSONWriter.object {
                    $0.field("status", "ready")
                    $0.field("checks", checks)
                }
            )
        }
        let failed = report.outcomes.filter { $0.outcome != .ok }.map(\.name)
        let detail =
            report.isDraining
            ? "The service is shutting down." : "These checks fail: \(failed.joined(separator: ", "))."
        let draining = JSONWriter.object { $0.field("draining", report.isDraining) }
        throw Problem(
            .notReady, detail, retryAfterSeconds: 1,
            members: [Problem.Member(name: "checks", value: checks)]
                + (draining.fields ?? []).map { Problem.Member(name: $0.name, value: $0.value) }
        )
    }

    private var prometheus: Route {
        let metrics = metrics
        let readiness = readiness
        return Route(
            .get, "/metrics", access: .open, rateLimit: .never,
            operation: Operation(
                id: "getMetrics", summary: "Metrics in Prometheus' text format.", tag: Self.tag,
                answers: [Answer(.ok, "The metrics.", .text("text/plain"))]
            ),
            handler: { _, _ in
                for (name, outcome) in await readiness.report().outcomes { metrics.checked(name, outcome == .ok) }
                return .text(metrics.render(), contentType: "text/plain; version=0.0.4; charset=utf-8")
            }
        )
    }
}
