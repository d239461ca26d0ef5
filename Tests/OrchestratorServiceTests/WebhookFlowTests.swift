import Contracts
import Foundation
import TestSupport
import Testing

/// Webhooks from an event to their receiver.
@Suite(.serialized, .timeLimit(.minutes(5))) struct `Webhook flow` {
    static let environment = OrchestratorUnderTest.webhookEnvironment

    @Test func `a subscriber and a callback hear of the events they asked for, signed`() async throws {
        try await OrchestratorUnderTest.run(environment: Self.environment) { stack in
            try await WebhookReceiver.run { receiver in
                let hook = try await stack.subscribe(receiver.url, events: #"["task.created","task.completed"]"#)
                let made = try await stack.post("/webhooks/callback/rotate-secret", nil, token: stack.token())
                let callbackSecret = try #require(made["secret"])
                try await stack.withAgent(work: { _ in
                    .completed(output: JSONWriter.array { _ in }, usage: .init(tokens: 7))
                }) {
                    let callback = receiver.url.replacing("/hook", with: "/callback?a=%20b")
                    let task = try await stack.submit(#"{"name":"one","callback_url":"\#(callback)"}"#)
                    try await stack.waitForDeliveries(3, "delivered")
                    let received = receiver.received
                    #expect(received.filter { $0.path == "/hook" }.allSatisfy { $0.isSigned(with: hook.secret) })
                    let called = try #require(received.filter { $0.path == "/callback?a=%20b" }.first)
                    #expect(called.isSigned(with: callbackSecret) && !called.isSigned(with: hook.secret))
                    #expect(received.count == 3 && Set(received.map(\.id)).count == 3)
                    let body = try JSON(parsing: called.body.utf8)
                    #expect(
                        body["type"]?.string == "task.completed" && body["timestamp"]?.string?.hasSuffix("Z") == true)
                    #expect(body["data"]?["task_id"]?.string == task && body["data"]?["name"]?.string == "one")
                    #expect(body["data"]?["event"]?["usage_tokens"]?.int == 7 && body["data"]?["output"]?.text == "[]")
                    let kinds = try received.filter { $0.path == "/hook" }
                        .map { try JSON(parsing: $0.body.utf8)["type"]?.string }
                    #expect(Set(kinds) == ["task.created", "task.completed"])
                    let shown = try await stack.get("/tasks/\(task)", token: stack.token())
                    #expect(shown["callback_url"] == callback)
                    #expect(try await stack.deliveries("&webhook=\(hook.id)").count == 2)
                    #expect(try await stack.deliveries("&task=\(task)").count == 3)
                    #expect(try await stack.deliveries(tenant: "globex").isEmpty)
                }
                let metrics = try await stack.get("/metrics", token: nil)
                #expect(metrics.body.contains(#"webhook_deliveries_total{outcome="delivered"} 3"#))
            }
        }
    }

    @Test func `each attempt is a span below its task, and the receiver is told of it`() async throws {
        try await WebhookReceiver.run { collector in
            var environment = Self.environment
            environment["GOLDEN_OTLP_ENDPOINT"] = collector.url.replacing("/hook", with: "")
            try await OrchestratorUnderTest.run(environment: environment) { stack in
                try await WebhookReceiver.run {
                    $0.number == 0 ? .status(500) : .status(200)
                } _: { receiver in
                    _ = try await stack.subscribe(receiver.url)
                    let submitted = TraceContext()
                    let task = try await stack.submit(headers: ["traceparent": submitted.traceparent])
                    try await stack.waitForDeliveries(1, "delivered")
                    try await eventually { collector.spans("webhook delivery").count == 2 }
                    let request = try #require(collector.spans("POST /tasks").first { $0.traceID == submitted.traceID })
                    let id = try #require(TaskID(task))
                    let parent = try #require(
                        TraceContext(of: id, submittedIn: "00-\(request.traceID)-\(request.spanID)-01"))
                    for (span, received) in zip(collector.spans("webhook delivery"), receiver.received) {
                        #expect(
                            received.headers["traceparent"] == "00-\(submitted.traceID)-\(span.spanID)-01"
                                && span.parent == parent.spanID && span.isFailed == (received.number == 0))
                    }
                }
            }
        }
    }

    @Test func `a receiver that fails gets the same delivery again under the same id`() async throws {
        try await OrchestratorUnderTest.run(environment: Self.environment) { stack in
            try await WebhookReceiver.run {
                $0.number < 2 ? .status(500, body: "not now\0") : .status(200)
            } _: { receiver in
                let hook = try await stack.subscribe(receiver.url)
                _ = try await stack.submit()
                try await eventually { receiver.received.count == 1 }
                try await eventually { try await stack.deliveries().first?["response"]?.string == "not now" }
                try await stack.waitForDeliveries(1, "delivered")
                let received = receiver.received
                #expect(received.count == 3 && Set(received.map(\.id)).count == 1)
                #expect(Set(received.map(\.body)).count == 1)
                #expect(received.allSatisfy { $0.isSigned(with: hook.secret) })
                let delivery = try #require(try await stack.deliveries().first)
                #expect(delivery["attempts"]?.int == 3 && delivery["status"]?.int == 200)
                #expect(delivery["id"]?.string == received[0].id && delivery["error"] == nil)
            }
        }
    }

    @Test func `a delivery that never succeeds fails after its last attempt and can be replayed`() async throws {
        let environment = Self.environment.merging(["GOLDEN_WEBHOOK_ATTEMPTS": "2"]) { $1 }
        try await OrchestratorUnderTest.run(environment: environment) { stack in
            try await WebhookReceiver.run { _ in
                .hangUp
            } _: { receiver in
                _ = try await stack.subscribe(receiver.url)
                _ = try await stack.submit()
                try await stack.waitForDeliveries(1, "failed")
                let failed = try #require(try await stack.deliveries().first)
                #expect(failed["attempts"]?.int == 2 && failed["error"]?.string == "connection_broken", "\(failed)")
                receiver.answer { _ in .status(204) }
                let id = try #require(failed["id"]?.string)
                let replayed = try await stack.post("/webhooks/deliveries/\(id)/replay", nil, token: stack.token())
                #expect(replayed.status == 202)
                try await stack.waitForDeliveries(1, "delivered")
                #expect(Set(receiver.received.map(\.id)) == [id])
                let shown = try await stack.get("/webhooks/deliveries/\(id)", token: stack.token())
                #expect(shown.status == 200 && shown["state"] == "delivered")
            }
        }
    }

    @Test func `410 disables the subscription, and it can be enabled again`() async throws {
        try await OrchestratorUnderTest.run(environment: Self.environment) { stack in
            try await WebhookReceiver.run { _ in
                .status(410)
            } _: { receiver in
                let hook = try await stack.subscribe(receiver.url)
                _ = try await stack.submit()
                try await stack.waitForDeliveries(1, "failed")
                let shown = try await stack.get("/webhooks/\(hook.id)", token: stack.token())
                #expect(shown["state"] == "disabled" && shown["disabled_reason"]?.contains("410") == true)
                _ = try await stack.submit()
                #expect(try await stack.deliveries().count == 1)
                receiver.answer { _ in .status(200) }
                let enabled = try await stack.post("/webhooks/\(hook.id)/enable", nil, token: stack.token())
                #expect(enabled.status == 200 && enabled["state"] == "active")
                _ = try await stack.submit()
                try await stack.waitForDeliveries(1, "delivered")
                #expect(receiver.received.count == 2)
            }
        }
    }

    @Test func `redirects are not followed, huge answers are cut, silence ends in time, Retry-After is kept`()
        async throws
    {
        try await OrchestratorUnderTest.run(environment: Self.environment) { stack in
            try await WebhookReceiver.run { receiver in
                let target = receiver.url
                let hook = try await stack.subscribe(target)
                func once(_ answer: WebhookReceiver.Answer) async throws -> JSON {
                    let before = receiver.received.count
                    receiver.answer { $0.number == before ? answer : .status(200, body: "fine") }
                    let task = try await stack.submit()
                    try await eventually { try await stack.deliveries("&task=\(task)").first?["attempts"]?.int == 1 }
                    try await eventually {
                        try await stack.deliveries("&task=\(task)").first?["under_way"]?.bool == false
                    }
                    return try #require(try await stack.deliveries("&task=\(task)").first)
                }
                let elsewhere = target.replacing("/hook", with: "/elsewhere")
                let redirected = try await once(.status(302, headers: [("location", elsewhere)]))
                #expect(redirected["status"]?.int == 302 && redirected["state"]?.string == "pending")
                let huge = try await once(.endless(mebibytes: 64))
                #expect(huge["state"]?.string == "delivered" && huge["response"]?.string?.count == 1024)
                let slow = try await once(.after(.seconds(30), status: 200))
                #expect(slow["error"]?.string == "timeout" && slow["state"]?.string == "pending", "\(slow)")
                // The limit is two seconds; the answer would come after thirty.
                #expect((1900..<30_000).contains(slow["duration_ms"]?.int ?? 0))
                let start = ContinuousClock.now
                let busy = try await once(.status(429, headers: [("retry-after", "5")]))
                #expect(busy["status"]?.int == 429)
                try await stack.waitForDeliveries(4, "delivered", "&webhook=\(hook.id)")
                #expect(ContinuousClock.now - start >= .seconds(5))
                #expect(!receiver.received.contains { $0.path != "/hook" })
            }
        }
    }

    @Test func `loopback is refused unless the installation allows it, whatever it is called`() async throws {
        let environment = Self.environment.merging(["GOLDEN_WEBHOOK_ALLOW": "10.255.0.0/16"]) { $1 }
        try await OrchestratorUnderTest.run(environment: environment) { stack in
            try await WebhookReceiver.run { receiver in
                for host in ["127.0.0.1", "localhost", "[::1]", "[::ffff:127.0.0.1]", "127.0.0.2"] {
                    _ = try await stack.subscribe("http://\(host):\(receiver.port)/hook")
                }
                _ = try await stack.submit()
                try await stack.waitForDeliveries(5, "failed")
                let deliveries = try await stack.deliveries()
                #expect(
                    deliveries.allSatisfy { $0["error"]?.string == "address_forbidden" && $0["attempts"]?.int == 1 })
                #expect(receiver.received.isEmpty)
            }
        }
    }

    @Test func `a slow receiver holds up neither others nor more than its share`() async throws {
        // Longer than the fast one's deliveries take.
        let environment = Self.environment.merging(["GOLDEN_WEBHOOK_TIMEOUT_SECONDS": "60"]) { $1 }
        try await OrchestratorUnderTest.run(environment: environment) { stack in
            let door = Gate()
            defer { door.open() }
            try await WebhookReceiver.run { _ in
                .held(door)
            } _: { slow in
                try await WebhookReceiver.run { fast in
                    _ = try await stack.subscribe(slow.url)
                    let hook = try await stack.subscribe(fast.url)
                    for _ in 0..<60 { _ = try await stack.submit() }
                    try await stack.waitForDeliveries(60, "delivered", "&webhook=\(hook.id)")
                    #expect(slow.received.count < 60, "The slow one has not been waited for.")
                    door.open()
                    try await stack.waitForDeliveries(120, "delivered")
                    #expect(slow.mostUnderWay <= 16 && slow.mostUnderWay > 1)
                }
            }
        }
    }

    @Test func `two replicas deliver each event once`() async throws {
        try await OrchestratorUnderTest.run(replicas: 2, environment: Self.environment) { stack in
            try await WebhookReceiver.run { receiver in
                _ = try await stack.subscribe(receiver.url, events: #"["task.created","task.completed"]"#)
                try await stack.withAgent(work: { _ in .completed(output: .emptyObject, usage: nil) }) {
                    for number in 0..<60 { _ = try await stack.submit(replica: number % 2) }
                    try await stack.waitForDeliveries(120, "delivered")
                }
                #expect(receiver.received.count == 120)
                #expect(Set(receiver.received.map(\.id)).count == 120)
                let exact = try await stack.postgres.sql(
                    """
                    SELECT count(*) FROM task_events e FULL JOIN webhook_deliveries d USING (task_id, sequence)
                    WHERE (e.kind IN ('task.created', 'task.completed')) <> (d.id IS NOT NULL)
                    """, database: stack.database)
                #expect(exact == "0")
            }
        }
    }

    @Test func `what a dead process had taken is delivered after its lease, under the same id`() async throws {
        try await OrchestratorUnderTest.run(environment: Self.environment) { stack in
            try await WebhookReceiver.run { receiver in
                let open = "UPDATE webhook_deliveries SET"
                _ = try await stack.subscribe(receiver.url)
                _ = try await stack.submit()
                try await stack.waitForDeliveries(1, "delivered")
                // As a process leaves it that was killed between the receiver's answer and the row that says so.
                try await stack.postgres.sql(
                    """
                    \(open) state = 'pending', ended_at = NULL, lease = gen_random_uuid(),
                        due_at = now() + interval '2 s'
                    """, database: stack.database)
                let shown = try #require(try await stack.deliveries().first)
                #expect(shown["under_way"]?.bool == true && shown["state"]?.string == "pending")
                try await stack.waitForDeliveries(1, "delivered")
                #expect(receiver.received.count == 2 && Set(receiver.received.map(\.id)).count == 1)
                #expect(Set(receiver.received.map(\.body)).count == 1)
                let delivery = try #require(try await stack.deliveries().first)
                #expect(delivery["attempts"]?.int == 2)
            }
        }
    }
}

/// What a receiver took in a collector's place.
extension WebhookReceiver {
    struct Span {
        let traceID: String
        let spanID: String
        let parent: String?
        let isFailed: Bool
    }

    /// The spans of one name, in the order they were exported.
    fileprivate func spans(_ name: String) -> [Span] {
        let exports = received.filter { $0.path == "/v1/traces" }
        var spans = exports.compactMap { try? JSON(parsing: $0.body.utf8) }
        for field in ["resourceSpans", "scopeSpans", "spans"] {
            spans = spans.flatMap { $0[field]?.array ?? [] }
        }
        return spans.filter { $0["name"]?.string == name }
            .map { span in
                Span(
                    traceID: span["traceId"]?.string ?? "", spanID: span["spanId"]?.string ?? "",
                    parent: span["parentSpanId"]?.string, isFailed: span["status"] != nil)
            }
    }
}
