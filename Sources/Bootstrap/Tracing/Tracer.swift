internal import AsyncHTTPClient
package import Contracts
package import FoundationEssentials
internal import NIOCore
internal import NIOHTTP1
internal import ServiceLifecycle
internal import Synchronization

/// Exports spans as OTLP over HTTP in JSON, in batches, to the collector that `GOLDEN_OTLP_ENDPOINT` names.
///
/// Off without it: recording costs one comparison then. Never in anybody's way: what finds the buffer full, and what
/// the collector does not take, is dropped and counted. A trace that its beginner did not sample is not exported.
///
/// Source: OpenTelemetry Protocol 1.0, "OTLP/HTTP", with JSON Protobuf encoding.
package final class Tracer: Service {
    /// Exports nothing.
    package static let off = Tracer(endpoint: nil, service: "")

    static let waitingMax = 8192
    static let batchMax = 512
    static let interval: Duration = .seconds(1)
    static let timeout: TimeAmount = .seconds(5)

    private struct State {
        var waiting: [TraceSpan] = []
        var dropped = 0
    }

    private let url: String?
    private let service: String
    private let state = Mutex(State())

    /// - Parameter endpoint: the collector's base URL, such as `http://collector:4318`.
    package init(endpoint: String?, service: String) {
        url = endpoint.map { ($0.hasSuffix("/") ? String($0.dropLast()) : $0) + "/v1/traces" }
        self.service = service
    }

    /// Reads `GOLDEN_OTLP_ENDPOINT`.
    package convenience init(_ settings: ServiceConfiguration, service: String) throws(BootstrapError) {
        let endpoint = try settings.optionalURL("GOLDEN_OTLP_ENDPOINT")
        if let endpoint, !endpoint.hasPrefix("http://"), !endpoint.hasPrefix("https://") {
            throw settings.invalid("GOLDEN_OTLP_ENDPOINT", "must be http:// or https://")
        }
        self.init(endpoint: endpoint, service: service)
    }

    package var isOn: Bool { url != nil }

    /// Spans that were lost, since the start.
    package var dropped: Int { state.withLock { $0.dropped } }

    /// Spans that wait to be exported.
    var waiting: Int { state.withLock { $0.waiting.count } }

    /// Records work that a message or row with this `traceparent` caused, as a span of its own below it.
    package func record(
        _ name: String, _ kind: TraceSpan.Kind = .work, under traceparent: String?, from start: Date,
        to end: Date = Date(),
        attributes: [(String, String)] = [], isFailed: Bool = false
    ) {
        guard isOn, let parent = traceparent.flatMap({ TraceContext(traceparent: $0) }) else { return }
        record(
            TraceSpan(
                context: parent.child(), parent: parent.spanID, name: name, kind: kind, start: start, end: end,
                attributes: attributes, isFailed: isFailed))
    }

    /// Begins what a message or row with this `traceparent` caused, so that more can hang on it before it ends. Nil
    /// when nothing is exported, and without a trace.
    package func begin(below traceparent: String?) -> OpenSpan? {
        guard isOn, let parent = traceparent.flatMap({ TraceContext(traceparent: $0) }) else { return nil }
        return OpenSpan(context: parent.child(), parent: parent.spanID)
    }

    /// Records a span that was begun; nothing for nil.
    package func end(
        _ name: String, _ span: OpenSpan?, _ kind: TraceSpan.Kind = .work, from start: Date, to end: Date = Date(),
        attributes: @autoclosure () -> [(String, String)] = [], isFailed: Bool = false
    ) {
        guard let span else { return }
        record(
            name, kind, as: span.context, parent: span.parent, from: start, to: end, attributes: attributes(),
            isFailed: isFailed)
    }

    /// Records a span whose place in its trace is settled already, such as a request's.
    package func record(
        _ name: String, _ kind: TraceSpan.Kind, as context: TraceContext, parent: String?, from start: Date,
        to end: Date = Date(), attributes: [(String, String)] = [], isFailed: Bool = false
    ) {
        guard isOn else { return }
        record(
            TraceSpan(
                context: context, parent: parent, name: name, kind: kind, start: start, end: end,
                attributes: attributes, isFailed: isFailed))
    }

    private func record(_ span: TraceSpan) {
        guard span.context.isSampled else { return }
        state.withLock { state in
            if state.waiting.count < Self.waitingMax { state.waiting.append(span) } else { state.dropped += 1 }
        }
    }

    /// Exports every second until told to stop, and what is left then.
    package func run() async throws {
        guard let url else { return try await gracefulShutdown() }
        try await runUntilShutdown {
            while true {
                try await Task.sleep(for: Self.interval, tolerance: .milliseconds(200))
                await self.export(to: url)
            }
        }
        await export(to: url)
    }

    /// All that waits, batch by batch; the first that is not taken ends this turn.
    private func export(to url: String) async {
        while true {
            let batch = state.withLock { state in
                let batch = Array(state.waiting.prefix(Self.batchMax))
                state.waiting.removeFirst(batch.count)
                return batch
            }
            if batch.isEmpty { return }
            guard await post(body(of: batch), to: url) else {
                return state.withLock { $0.dropped += batch.count }
            }
        }
    }

    private func post(_ body: JSON, to url: String) async -> Bool {
        var request = HTTPClientRequest(url: url)
        request.method = .POST
        request.headers.add(name: "content-type", value: "application/json")
        request.body = .bytes(Array(body.bytes))
        do {
            let response = try await HTTPClient.shared.execute(request, timeout: Self.timeout)
            return (200..<300).contains(response.status.code)
        } catch {
            // Whoever watches the collector hears of it; a service that worked has nothing to say.
            return false
        }
    }

    func body(of spans: [TraceSpan]) -> JSON {
        let resource = [("service.name", service), ("service.version", Version.current)]
        return JSONWriter.object { writer in
            writer.field(
                "resourceSpans",
                array: { writer in
                    writer.element(object: { writer in
                        writer.field(
                            "resource",
                            object: { writer in
                                writer.field(
                                    "attributes",
                                    array: { writer in
                                        for (name, value) in resource {
                                            writer.element(object: { TraceSpan.write(name, value, to: &$0) })
                                        }
                                    })
                            })
                        writer.field("scopeSpans", array: { Self.write(spans, to: &$0) })
                    })
                })
        }
    }

    private static func write(_ spans: [TraceSpan], to writer: inout JSONWriter) {
        writer.element(object: { writer in
            writer.field("scope", object: { $0.field("name", "golden") })
            writer.field(
                "spans",
                array: { writer in
                    for span in spans { writer.element(object: { span.write(to: &$0) }) }
                })
        })
    }
}
