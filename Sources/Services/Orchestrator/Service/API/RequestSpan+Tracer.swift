internal import Bootstrap
internal import HTTPEdge

extension RequestSpan {
    /// Requests of probes and scrapes belong to nobody's trace.
    private static let untraced: Set<String> = ["/health", "/ready", "/metrics"]

    /// By OpenTelemetry's names for HTTP servers.
    func record(with tracer: Tracer) {
        guard !Self.untraced.contains(route) else { return }
        let attributes = [
            ("http.request.method", method), ("http.route", route), ("http.response.status_code", String(status)),
        ]
        tracer.record(
            "\(method) \(route)", .server, as: context, parent: parent, from: start, attributes: attributes,
            isFailed: status >= 500)
    }
}
