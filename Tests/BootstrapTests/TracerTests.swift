import Contracts
import Foundation
import Testing

@testable import Bootstrap

@Suite struct `A tracer` {
    private static let began = Date(timeIntervalSince1970: 1_700_000_000.5)
    private static let parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"

    @Test func `says spans as OTLP's JSON does`() throws {
        let context = try #require(TraceContext(traceparent: Self.parent))
        let span = TraceSpan(
            context: context, parent: "00f067aa0ba902b7", name: "POST /tasks", kind: .server, start: Self.began,
            end: Self.began.addingTimeInterval(0.25), attributes: [("http.route", "/tasks")], isFailed: true)
        let body = Tracer(endpoint: "http://c:4318/", service: "orchestrator").body(of: [span])
        let expected = """
            {"resourceSpans":[{"resource":{"attributes":[\
            {"key":"service.name","value":{"stringValue":"orchestrator"}},\
            {"key":"service.version","value":{"stringValue":"\(Version.current)"}}]},\
            "scopeSpans":[{"scope":{"name":"golden"},"spans":[\
            {"traceId":"0af7651916cd43dd8448eb211c80319c","spanId":"b7ad6b7169203331",\
            "parentSpanId":"00f067aa0ba902b7","name":"POST /tasks","kind":2,\
            "startTimeUnixNano":"1700000000500000000","endTimeUnixNano":"1700000000750000000",\
            "attributes":[{"key":"http.route","value":{"stringValue":"/tasks"}}],"status":{"code":2}}]}]}]}
            """
        #expect(body.text == expected)
    }

    @Test func `keeps a bounded number of spans and counts the others`() {
        let tracer = Tracer(endpoint: "http://127.0.0.1:1", service: "x")
        for _ in 0..<(Tracer.waitingMax + 3) { tracer.record("work", under: Self.parent, from: Self.began) }
        #expect(tracer.dropped == 3)
    }

    @Test func `keeps nothing when it is off, of traces nobody samples, and without a trace`() {
        Tracer.off.record("work", under: Self.parent, from: Self.began)
        #expect(Tracer.off.waiting == 0)
        let tracer = Tracer(endpoint: "http://127.0.0.1:1", service: "x")
        tracer.record("work", under: String(Self.parent.dropLast()) + "0", from: Self.began)
        tracer.record("work", under: nil, from: Self.began)
        tracer.record("work", under: "nonsense", from: Self.began)
        #expect(tracer.waiting == 0)
        tracer.record("work", under: Self.parent, from: Self.began)
        #expect(tracer.waiting == 1)
    }

    @Test func `takes only collectors that speak HTTP`() throws {
        #expect(try !Tracer(ServiceConfiguration(environment: [:]), service: "x").isOn)
        let good = ServiceConfiguration(environment: ["GOLDEN_OTLP_ENDPOINT": "http://collector:4318"])
        #expect(try Tracer(good, service: "x").isOn)
        let bad = ServiceConfiguration(environment: ["GOLDEN_OTLP_ENDPOINT": "collector:4317"])
        #expect(throws: BootstrapError.self) { try Tracer(bad, service: "x") }
    }
}
