import Contracts
import Foundation
import TestSupport
import Testing

/// The routes of webhooks.
@Suite(.serialized, .timeLimit(.minutes(5))) struct WebhookAPITests {
    @Test func `what is not sound is refused and named`() async throws {
        try await OrchestratorUnderTest.run { stack in
            let developer = try await stack.token()
            let rows: [(path: String, body: String, status: Int, text: String)] = [
                ("/webhooks", "{}", 422, "url"), ("/webhooks", #"{"url":"ftp://a.example"}"#, 422, "url"),
                ("/webhooks", #"{"url":"https://u:p@a.example"}"#, 422, "url"),
                ("/webhooks", #"{"url":"https://a.example","events":[]}"#, 422, "events"),
                ("/webhooks", #"{"url":"https://a.example","events":["task.eaten"]}"#, 422, "events"),
                ("/webhooks", #"{"url":"https://a.example","events":["task.failed","task.failed"]}"#, 422, "events"),
                ("/webhooks", #"{"url":"https://a.example","description":""}"#, 422, "description"),
                ("/webhooks", #"{"url":"https://a.example","secret":"mine"}"#, 422, "secret"),
                ("/webhooks", "url=x", 400, "json_malformed"),
                ("/tasks", #"{"callback_url":"https://a.example:22/"}"#, 422, "callback_url"),
                ("/tasks", #"{"callback_url":"file:///etc/passwd"}"#, 422, "callback_url"),
                ("/tasks", #"{"callback_url":7}"#, 422, "callback_url"),
                ("/webhooks/00000000-0000-7000-8000-000000000000/rotate-secret", "{}", 404, "webhook"),
                ("/webhooks/deliveries/00000000-0000-4000-8000-000000000000/replay", "{}", 404, "delivery"),
                ("/webhooks/deliveries/7/replay", "{}", 404, "delivery"),
            ]
            for row in rows {
                let answer = try await stack.post(row.path, row.body, token: developer)
                #expect(answer.status == row.status && answer.body.contains(row.text), "\(row): \(answer)")
            }
            for query in ["state=lost", "webhook=7", "task=x", "cursor=x", "limit=0", "who=me"] {
                let answer = try await stack.get("/webhooks/deliveries?\(query)", token: developer)
                #expect(answer.status == 400, "\(query): \(answer)")
            }
        }
    }

    @Test func `roles and tenants keep apart`() async throws {
        try await OrchestratorUnderTest.run { stack in
            let hook = try await stack.subscribe("https://a.example/hook")
            let body = #"{"url":"https://a.example"}"#
            for (role, status) in [("observer", 403), ("agent", 403), ("operator", 201), ("admin", 201)] {
                let answer = try await stack.post("/webhooks", body, token: stack.token(role: role))
                #expect(answer.status == status, "\(role): \(answer)")
            }
            #expect(try await stack.post("/webhooks", body, token: nil).status == 401)
            #expect(
                try await stack.get("/webhooks", token: stack.token(role: "observer", tenant: "other")).status == 200)
            #expect(try await stack.get("/webhooks", token: stack.token(role: "agent")).status == 403)
            let stranger = try await stack.token(tenant: "globex")
            #expect(try await stack.get("/webhooks/\(hook.id)", token: stranger).status == 404)
            #expect(try await stack.post("/webhooks/\(hook.id)/rotate-secret", nil, token: stranger).status == 404)
            #expect(try await stack.post("/webhooks/\(hook.id)/enable", nil, token: stranger).status == 404)
            #expect(try await stack.send("DELETE", "/webhooks/\(hook.id)", token: stranger, body: nil).status == 404)
            #expect(try await stack.get("/webhooks", token: stranger).body.contains(hook.id) == false)
        }
    }

    @Test func `a secret is shown once, kept sealed, and after a rotation both sign`() async throws {
        let environment = OrchestratorUnderTest.webhookEnvironment
        try await OrchestratorUnderTest.run(environment: environment) { stack in
            try await WebhookReceiver.run { receiver in
                let token = try await stack.token()
                let hook = try await stack.subscribe(receiver.url)
                let rotated = try await stack.post("/webhooks/\(hook.id)/rotate-secret", nil, token: token)
                let second = try #require(rotated["secret"])
                #expect(second != hook.secret && rotated["previous_secret_until"] != nil)
                _ = try await stack.submit()
                try await stack.waitForDeliveries(1, "delivered")
                let received = try #require(receiver.received.first)
                #expect(received.isSigned(with: hook.secret) && received.isSigned(with: second))
                for path in ["/webhooks", "/webhooks/\(hook.id)", "/webhooks/deliveries"] {
                    let answer = try await stack.get(path, token: token)
                    #expect(answer.status == 200 && !answer.body.contains("whsec_"), "\(answer)")
                }
                let third = try await stack.post("/webhooks/\(hook.id)/rotate-secret", nil, token: token)
                _ = try await stack.submit()
                try await stack.waitForDeliveries(2, "delivered")
                let later = try #require(receiver.received.last)
                #expect(!later.isSigned(with: hook.secret) && later.isSigned(with: second))
                #expect(later.isSigned(with: try #require(third["secret"])))
                let audit = try await stack.get("/audit", token: stack.token(role: "admin"))
                #expect(audit.body.contains("addWebhook") && !audit.body.contains("whsec_"))
            }
        }
    }

    @Test func `a removed webhook hears no more, and what waited for it has failed`() async throws {
        let environment = OrchestratorUnderTest.webhookEnvironment
        try await OrchestratorUnderTest.run(environment: environment) { stack in
            try await WebhookReceiver.run { _ in
                .status(429, headers: [("retry-after", "3600")])
            } _: { receiver in
                let hook = try await stack.subscribe(receiver.url)
                _ = try await stack.submit()
                try await eventually { try await stack.deliveries().first?["status"]?.int == 429 }
                let token = try await stack.token()
                let removed = try await stack.send("DELETE", "/webhooks/\(hook.id)", token: token, body: nil)
                #expect(removed.status == 200 && removed["id"] == hook.id)
                let left = try #require(try await stack.deliveries().first)
                #expect(left["state"]?.string == "failed" && left["error"]?.string == "webhook_removed")
                _ = try await stack.submit()
                #expect(try await stack.deliveries().count == 1)
                #expect(try await stack.get("/webhooks/\(hook.id)", token: token).status == 404)
                let id = try #require(left["id"]?.string)
                let replay = try await stack.post("/webhooks/deliveries/\(id)/replay", nil, token: token)
                #expect(replay.status == 202)
                try await eventually {
                    try await stack.get("/webhooks/deliveries/\(id)", token: token)["error"] == "webhook_removed"
                }
                #expect(receiver.received.count == 1)
            }
        }
    }

    @Test func `lists go page by page, and a tenant has so many webhooks and no more`() async throws {
        try await OrchestratorUnderTest.run { stack in
            let token = try await stack.token()
            for number in 0..<20 { _ = try await stack.subscribe("https://a.example/\(number)") }
            let full = try await stack.post("/webhooks", #"{"url":"https://a.example"}"#, token: token)
            #expect(full.status == 409)
            var urls: [String] = []
            var query = "?limit=7"
            for _ in 0..<3 {
                let page = try await stack.get("/webhooks\(query)", token: token).json
                urls += (page["webhooks"]?.array ?? []).compactMap { $0["url"]?.string }
                query = "?limit=7&cursor=\(page["next_cursor"]?.string ?? "")"
            }
            #expect(urls == (0..<20).reversed().map { "https://a.example/\($0)" })
        }
    }
}
