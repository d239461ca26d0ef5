internal import Contracts
internal import Foundation
internal import HTTPEdge
internal import Synchronization
import Testing

@Suite(.timeLimit(.minutes(5))) struct HealthRoutesTests {
    struct Away: Error {}

    @Test func `a service without checks is alive and ready`() async throws {
        try await TestEdge.run { server in
            let health = try await server.send("GET", "/health")
            #expect(health.status == 200)
            #expect(health.text == #"{"status":"ok","service":"tests","version":"1"}"#)
            let ready = try await server.send("GET", "/ready")
            #expect(ready.status == 200)
            #expect(ready.text == #"{"status":"ready","checks":{}}"#)
        }
    }

    @Test func `a failing or silent dependency makes it unready, named, and tells nothing more`() async throws {
        let checks = [
            Readiness.Check("postgres") {},
            Readiness.Check("redis") { throw Away() },
            Readiness.Check("nats", timeout: .milliseconds(50)) { try await Task.sleep(for: .seconds(60)) },
        ]
        try await TestEdge.run(checks: checks) { server in
            let answer = try await server.send("GET", "/ready")
            #expect(answer.status == 503)
            #expect(answer.headers["retry-after"] == "1")
            #expect(
                answer.text.contains(
                    #""checks":{"postgres":"ok","redis":"failed","nats":"timed_out"},"draining":false"#))
            #expect(answer.text.contains(#""code":"not_ready""#) && !answer.text.contains("Away"))
            // A probe is no caller whose request failed.
            #expect(server.metrics.callers.isEmpty && server.metrics.recorded.contains("GET /ready 503"))
            #expect(try await server.send("GET", "/health").status == 200)
        }
    }

    @Test func `a dependency the service can do without is shown and leaves it ready`() async throws {
        let checks = [Readiness.Check("redis", isRequired: false) { throw Away() }]
        try await TestEdge.run(checks: checks) { server in
            let answer = try await server.send("GET", "/ready")
            #expect(answer.status == 200)
            #expect(answer.text == #"{"status":"ready","checks":{"redis":"failed"}}"#)
        }
    }

    @Test func `a draining service is not ready`() async throws {
        try await TestEdge.run { server in
            server.edge.drain.begin()
            let answer = try await server.send("GET", "/ready")
            #expect(answer.status == 503)
            #expect(answer.text.contains(#""draining":true"#))
        }
    }

    @Test func `the checks' answers are kept for a moment`() async throws {
        let count = Mutex(0)
        let check = Readiness.Check("counted") { count.withLock { $0 += 1 } }
        let logger = TestEdge.silence
        let readiness = Readiness([check], drain: Drain(), logger: logger, maxAge: .seconds(60))
        for _ in 0..<3 { #expect(await readiness.report().isReady) }
        #expect(count.withLock { $0 } == 1)
    }

    @Test func `metrics are text of Prometheus' own type`() async throws {
        try await TestEdge.run { server in
            let answer = try await server.send("GET", "/metrics")
            #expect(answer.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8")
            #expect(answer.text == "up 1\n")
        }
    }
}
