import Contracts
import Foundation
import TestSupport
import Testing

/// Webhooks whose receiver's circuit breaker is open.
@Suite(.serialized, .timeLimit(.minutes(5))) struct `Webhook breaker` {
    static let environment = OrchestratorUnderTest.webhookEnvironment.merging(["GOLDEN_WEBHOOK_ATTEMPTS": "8"]) { $1 }

    private static func state(
        _ name: String, _ stack: OrchestratorUnderTest, tenant: String = "acme"
    ) async throws -> String? {
        let answer = try await stack.get("/circuit-breakers", token: stack.token(tenant: tenant))
        return try answer.json["circuit_breakers"]?.array?.first { $0["name"]?.string == name }?["state"]?.string
    }

    @Test func `deliveries park behind an open breaker, are not counted as attempts, and go when it closes`()
        async throws
    {
        try await OrchestratorUnderTest.run(environment: Self.environment) { stack in
            try await WebhookReceiver.run { receiver in
                let name = "webhook:acme:127.0.0.1:\(receiver.port)"
                let operator_ = try await stack.token(role: "operator")
                _ = try await stack.subscribe(receiver.url)
                _ = try await stack.submit()
                try await stack.waitForDeliveries(1, "delivered")
                let forced = try await stack.post(
                    "/admin/circuit-breaker/force-open", #"{"name":"\#(name)","reason":"drill"}"#, token: operator_)
                #expect(forced.status == 200)
                for _ in 0..<6 { _ = try await stack.submit() }
                try await stack.waitForDeliveries(6, "parked")
                let parked = try await stack.deliveries("&state=parked")
                #expect(parked.count == 6 && parked.allSatisfy { $0["attempts"]?.int == 0 })
                #expect(receiver.received.count == 1)
                let reset = try await stack.post(
                    "/admin/circuit-breaker/reset", #"{"name":"\#(name)"}"#, token: operator_)
                #expect(reset.status == 200)
                try await stack.waitForDeliveries(7, "delivered")
                #expect(receiver.received.count == 7 && Set(receiver.received.map(\.id)).count == 7)
                #expect(try await stack.deliveries().allSatisfy { $0["attempts"]?.int == 1 })
            }
        }
    }

    @Test func `a receiver that fails opens its breaker, and half-open probes release what is parked`() async throws {
        try await OrchestratorUnderTest.run(replicas: 2, environment: Self.environment) { stack in
            try await WebhookReceiver.run { _ in
                .status(503)
            } _: { receiver in
                let name = "webhook:acme:127.0.0.1:\(receiver.port)"
                let hook = try await stack.subscribe(receiver.url)
                for number in 0..<60 { _ = try await stack.submit(replica: number % 2) }
                try await eventually { try await Self.state(name, stack) == "open" }
                try await eventually { try await stack.deliveries("&state=parked").count > 10 }
                try await Self.expectProbesOnly(receiver, stack, name)
                receiver.answer { _ in .status(200) }
                try await stack.waitForDeliveries(60, "delivered", "&webhook=\(hook.id)")
                try await eventually { try await Self.state(name, stack) == "closed" }
                let metrics = try await stack.get("/metrics", token: nil)
                #expect(metrics.body.contains(#"circuit_breaker_state{name="\#(name)"} 0"#))
                #expect(metrics.body.contains(#"webhook_deliveries_total{outcome="parked"}"#))
                // Each id as often as it was attempted: what was parked cost no attempt.
                let attempts = Dictionary(receiver.received.map { ($0.id, 1) }, uniquingKeysWith: +)
                for delivery in try await stack.deliveries() {
                    let id = try #require(delivery["id"]?.string)
                    #expect(delivery["attempts"]?.int == attempts[id], "\(delivery)")
                }
            }
        }
    }

    @Test func `a tenant's dead receiver parks nothing of another tenant's on the same host`() async throws {
        try await OrchestratorUnderTest.run(environment: Self.environment) { stack in
            try await WebhookReceiver.run { received in
                .status(received.path == "/dead" ? 503 : 200)
            } _: { receiver in
                let host = "127.0.0.1:\(receiver.port)"
                _ = try await stack.subscribe("http://\(host)/dead")
                _ = try await stack.subscribe("http://\(host)/alive", tenant: "beta")
                for _ in 0..<60 { _ = try await stack.submit() }
                try await eventually { try await Self.state("webhook:acme:\(host)", stack) == "open" }
                try await eventually { try await stack.deliveries("&state=parked").count > 10 }
                for _ in 0..<20 { _ = try await stack.submit(tenant: "beta") }
                try await stack.waitForDeliveries(20, "delivered", tenant: "beta")
                #expect(try await Self.state("webhook:beta:\(host)", stack, tenant: "beta") == "closed")
                try await Self.expectHidden("webhook:beta:\(host)", from: "acme", stack)
                #expect(try await stack.deliveries(tenant: "beta").allSatisfy { $0["attempts"]?.int == 1 })
            }
        }
    }

    @Test func `a pass that fails in its middle keeps no slots`() async throws {
        try await OrchestratorUnderTest.run(environment: Self.environment) { stack in
            try await WebhookReceiver.run { receiver in
                let others = (1...4).map { "well-\($0)" }
                for tenant in ["acme"] + others { _ = try await stack.subscribe(receiver.url, tenant: tenant) }
                _ = try await stack.submit()
                try await stack.waitForDeliveries(1, "delivered")
                let forced = try await stack.post(
                    "/admin/circuit-breaker/force-open",
                    #"{"name":"webhook:acme:127.0.0.1:\#(receiver.port)","reason":"drill"}"#,
                    token: stack.token(role: "operator"))
                #expect(forced.status == 200)
                try await stack.refuseParking(times: 4)
                _ = try await stack.submit()
                // Due in the same passes, mostly before what cannot be parked.
                for tenant in others { _ = try await stack.submit(tenant: tenant) }
                for tenant in others { try await stack.waitForDeliveries(1, "delivered", tenant: tenant) }
                try await stack.waitForDeliveries(1, "parked")
                try await eventually {
                    try await stack.get("/metrics", token: nil).body.contains("\nwebhook_attempts_under_way 0\n")
                }
            }
        }
    }

    /// Neither shown nor commanded, but for who configures everybody's limits.
    private static func expectHidden(_ name: String, from tenant: String, _ stack: OrchestratorUnderTest) async throws {
        #expect(try await state(name, stack, tenant: tenant) == nil)
        let body = #"{"name":"\#(name)","reason":"drill"}"#
        let refused = try await stack.post(
            "/admin/circuit-breaker/force-open", body, token: stack.token(role: "operator", tenant: tenant))
        #expect(refused.status == 404)
        let everybodys = try await stack.token(role: "admin", tenant: tenant)
        #expect(try await stack.post("/admin/circuit-breaker/force-open", body, token: everybodys).status == 200)
        let entries = try await stack.get("/audit?action=forceCircuitBreakerOpen", token: everybodys)
        #expect(entries.body.contains(name) && entries.body.contains("drill"))
    }

    /// While it fails, an open breaker lets nothing but five probes for each half-open phase through.
    private static func expectProbesOnly(
        _ receiver: WebhookReceiver, _ stack: OrchestratorUnderTest, _ name: String
    ) async throws {
        // What was under way when it opened ends first.
        try await eventually {
            try await stack.deliveries("&state=pending").allSatisfy { $0["under_way"]?.bool == false }
        }
        let before = receiver.received.count
        try await eventually { receiver.received.count > before }
        try await eventually { try await state(name, stack) == "open" }
        #expect(receiver.received.count - before <= 10, "Two phases at most have begun in that time.")
    }
}

extension OrchestratorUnderTest {
    /// The database does not let the next deliveries be parked.
    fileprivate func refuseParking(times: Int) async throws {
        try await postgres.sql(
            """
            CREATE SEQUENCE parkings;
            CREATE FUNCTION refuse_parking() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
                IF nextval('parkings') <= \(times) THEN RAISE EXCEPTION 'not now'; END IF;
                RETURN NEW;
            END $$;
            CREATE TRIGGER refuse_parking BEFORE UPDATE ON webhook_deliveries
                FOR EACH ROW WHEN (NEW.state = 'parked') EXECUTE FUNCTION refuse_parking();
            """, database: database)
    }
}
