import Contracts
import Foundation
import HTTPEdge
import HTTPTypes
import Testing

/// Every route, every role, own and other tenant, and every kind of token that is none: generated from the route table
/// and the permission table, so that a route or a role that is added later is walked without being asked.
@Suite(.serialized, .timeLimit(.minutes(10))) struct `Permissions` {
    static let roles = Role.allCases.filter { $0 != .anonymous }
    static let otherSecret = "Zq3xP0vN8tY5wB2mZ7rL4cJ9hG6dF1sB"

    @Test func `each route answers each caller exactly as the tables say`() async throws {
        try await OrchestratorUnderTest.run(environment: `Accounts`.environment) { stack in
            let walk = try await Walk(stack)
            for route in stack.routes { try await walk.walk(route) }
            // Nothing was left out: four callers without rights, and each role in two tenants.
            #expect(walk.steps == stack.routes.count * (4 + 2 * Self.roles.count), "\(walk.steps)")
            #expect(stack.routes.count > 30)
        }
    }

    @Test func `the API document says how unknown queries are answered, and what must be sent`() async throws {
        try await OrchestratorUnderTest.run(environment: `Accounts`.environment) { stack in
            let walk = try await Walk(stack)
            for route in stack.routes {
                let mustName = route.operation.problems.contains(.preconditionRequired)
                let isNamed = route.operation.parameters.contains { $0.name == "If-Match" && $0.isRequired }
                #expect(mustName == isNamed, "\(route.operation.id)")
                if route.method == .get { try await walk.askUnknown(route) }
            }
            let run = try #require(stack.routes.first { $0.operation.id == "executeProgram" })
            #expect(run.operation.answers.allSatisfy { $0.headers.contains { $0.name == "Idempotent-Replayed" } })
        }
    }

    @Test func `permissions.md shows the tables as they are`() async throws {
        try await OrchestratorUnderTest.run { stack in
            let now = PermissionPage.text(of: stack.routes)
            if ProcessInfo.processInfo.environment["GOLDEN_UPDATE_SNAPSHOT"] == "1" {
                try Data(now.utf8).write(to: PermissionPage.file)
            }
            #expect(
                try String(contentsOf: PermissionPage.file, encoding: .utf8) == now,
                "Write it anew: GOLDEN_UPDATE_SNAPSHOT=1 swift test --filter 'Permissions'"
            )
        }
    }
}

/// The walk through one stack: things of the tenant `acme`, which `beta` must not get to know of.
private final class Walk {
    private let stack: OrchestratorUnderTest
    private var things: [String: String]
    /// What belongs to the installation, so that every tenant's callers meet the same.
    private let shared: [String: String]
    private(set) var steps = 0

    init(_ stack: OrchestratorUnderTest) async throws {
        self.stack = stack
        let admin = try await stack.token(role: "admin")
        let user = try await stack.post("/users", #"{"name":"walker-of-acme","role":"observer"}"#, token: admin)
        let key = try await stack.post("/api-keys", #"{"label":"walk","role":"observer"}"#, token: admin)
        // One to be taken away, and one whose delivery stays.
        let webhook = try await stack.subscribe(Self.receiver, events: #"["task.failed"]"#)
        _ = try await stack.subscribe(Self.receiver)
        let task = try await stack.submit()
        let delivery = try #require(try await stack.deliveries().first?["id"]?.string)
        let stages = #"{"stages":[{"name":"w","kind":"work","role":"developer"}]}"#
        _ = try await stack.put("/workflows/of-acme", stages)
        let escalation = UUID().uuidString.lowercased()
        _ = try await stack.sql(
            "INSERT INTO escalations (id, message_id, tenant_id, task_id, attempt, source, reason) "
                + "VALUES ('\(escalation)', 'walk', 'acme', '\(task)', 0, 'failure', 'walked')")
        let (letter, replay) = (UUID().uuidString.lowercased(), UUID().uuidString.lowercased())
        _ = try await stack.sql(
            "INSERT INTO dlq_messages (id, message_id, original_subject, data, tenant_id, reason) "
                + "VALUES ('\(letter)', 'walk', 'prc.x.request', '{}', 'acme', 'walked')")
        _ = try await stack.sql(
            "INSERT INTO dlq_replays (id, tenant_id, filter, rate, requested_by, created_at, total, updated_at) "
                + "VALUES ('\(replay)', 'acme', '{}', 1, 'walker', now(), 0, now())")
        things = [
            "/dlq/{id}": letter, "/dlq/replays/{id}": replay,
            "/workflows/{name}": "of-acme", "/escalations/{id}": escalation,
            "/tasks/{id}": task, "/users/{name}": try #require(user["name"]), "/api-keys/{id}": try #require(key["id"]),
            "/webhooks/{id}": webhook.id, "/webhooks/deliveries/{id}": delivery,
            "/reviews/{session}": try await stack.openReview(of: task),
            "/sandbox/executions/{id}": try await Self.execution(stack),
        ]
        let proposal = #"{"role":"security","content":"x","base_version":0,"reason":"y"}"#
        let keeper = try await stack.token(role: "operator", subject: "keeper")
        let prompt = try await stack.post("/governance/prompts", proposal, token: keeper)
        let place = try #require(prompt.headers["location"])
        shared = [
            "/governance/prompts/{id}": String(place.dropFirst("/governance/prompts/".count)),
            "/governance/rules/{role}": "security",
        ]
    }

    /// A run that waits for an executor, which no test here has.
    private static func execution(_ stack: OrchestratorUnderTest) async throws -> String {
        let token = try await stack.token(role: "developer")
        let answer = try await stack.send(
            "POST", "/sandbox/execute", token: token, headers: ["prefer": "respond-async"],
            body: Array(#"{"code":"print(1)"}"#.utf8))
        return try #require(answer["id"], "\(answer)")
    }

    /// Belongs to documentation (RFC 5737), so that nobody hears of the walk.
    private static let receiver = "https://192.0.2.1/"

    func walk(_ route: Route) async throws {
        let foreign = `Permissions`.otherSecret
        let isOpen = route.permission == nil
        let none: Expected = isOpen ? .success : .status(401)
        try await step(route, "nobody", nil, none)
        try await step(route, "an expired token", stack.token(role: "admin", expiresIn: -120), none)
        try await step(route, "a foreign token", stack.token(role: "admin", secret: foreign), none)
        try await step(route, "a token for another API", stack.token(role: "admin", audience: "elsewhere"), none)
        for role in `Permissions`.roles {
            let may = route.permission.map(role.may) ?? true
            let own = try await stack.token(role: role.rawValue)
            let other = try await stack.token(role: role.rawValue, tenant: "beta", subject: "stranger")
            try await step(route, "\(role)", own, may ? .success : .status(403))
            // A workflow's name is each tenant's own to take.
            let isThing = route.pattern.contains("{") && route.operation.id != "putWorkflow"
            let isShared = shared.keys.contains { route.pattern.hasPrefix($0) }
            let unseen: Expected = isThing && !isShared && !isOpen ? .status(404) : .success
            let body = try await step(route, "\(role) of another tenant", other, may ? unseen : .status(403))
            // The audit log shows what strangers asked for, by the strangers themselves.
            let hidden = route.operation.id == "listAudit" ? ["\"actor\":\"tester\""] : Array(things.values)
            for thing in hidden where !isThing {
                #expect(!body.contains(thing), "\(route.operation.id) shows \(role) of another tenant \(thing)")
            }
        }
    }

    private enum Expected {
        case success
        case status(Int)
    }

    /// What a caller with every right may be answered: success, or what is wrong with an empty request.
    private func successes(_ route: Route) -> Set<Int> {
        if route.method == .get { return [200] }
        switch route.operation.id {
        // The second caller finds it ended.
        case "cancelTask", "cancelExecution": return [200, 202, 409]
        // There may be eight keys.
        case "rotateSigningKeys": return [201, 409]
        case "setRateLimits": return [428]
        // It may be on its way.
        case "replayWebhookDelivery": return [202, 409]
        // Who comes next finds it stopped, or running.
        case "stopReplay", "resumeReplay": return [200, 409]
        // The second caller finds it decided.
        case "approvePrompt", "rejectPrompt": return [200, 409]
        default: return [200, 201, 202, 422]
        }
    }

    @discardableResult
    private func step(
        _ route: Route, _ who: String, _ token: String?, _ expected: Expected
    ) async throws -> String {
        steps += 1
        let body = route.method == .get ? nil : Array("{}".utf8)
        let answer = try await stack.send(route.method.rawValue, try path(route), token: token, body: body)
        if route.operation.id == "removeWebhook", answer.status == 200 {
            things["/webhooks/{id}"] = try await stack.subscribe(Self.receiver, events: #"["task.failed"]"#).id
        }
        switch expected {
        case .success:
            #expect(successes(route).contains(answer.status), "\(route.operation.id), \(who): \(answer)")
        case .status(let status):
            #expect(answer.status == status, "\(route.operation.id), \(who): \(answer)")
            if status == 401 { #expect(answer.headers["www-authenticate"] != nil) }
        }
        return answer.body
    }

    /// Reads with a parameter that no route has.
    func askUnknown(_ route: Route) async throws {
        let admin = try await stack.token(role: "admin")
        let answer = try await stack.get(try path(route) + "?x=1", token: admin)
        let documented =
            route.operation.answers.map(\.status.code) + OpenAPIDocument.problems(of: route).map(\.status.code)
        #expect(documented.contains(answer.status), "\(route.operation.id): \(answer)")
    }

    /// The pattern with a thing of acme's in it. A route whose things this walk does not know fails the test: make one
    /// in `init`.
    private func path(_ route: Route) throws -> String {
        guard let end = route.pattern.firstIndex(of: "}") else { return route.pattern }
        let place = String(route.pattern[...end])
        let thing = try #require(things[place] ?? shared[place], "The walk has no \(place) yet")
        return route.pattern.replacing(place, with: place.prefix { $0 != "{" } + thing)
    }
}

/// docs/permissions.md
enum PermissionPage {
    static let file = URL(filePath: #filePath).deletingLastPathComponent()
        .appending(path: "../../docs/permissions.md").standardizedFileURL

    static func text(of routes: [Route]) -> String {
        let roles = Role.allCases
        var lines = [
            "# Permissions", "",
            "Written from the tables that the API checks against; a test fails while it is out of date. A caller without",
            "a valid token is refused with 401, one whose role lacks the permission with 403, and what belongs to another",
            "tenant answers 404, as if it did not exist. Roles stand in the token; see [accounts.md](accounts.md).", "",
            "## What each role may do", "",
            "| permission | " + roles.map(\.rawValue).joined(separator: " | ") + " |",
            "|---|" + roles.map { _ in ":-:|" }.joined(),
        ]
        for permission in Permission.allCases {
            let marks = roles.map { $0.may(permission) ? "yes" : "" }
            lines.append("| `\(permission.rawValue)` | " + marks.joined(separator: " | ") + " |")
        }
        lines += [
            "", "## What each route needs", "", "| route | operation | permission | roles |", "|---|---|---|---|",
        ]
        for route in routes.sorted(by: { ($0.pattern, $0.method.rawValue) < ($1.pattern, $1.method.rawValue) }) {
            let named = roles.filter { role in route.permission.map(role.may) ?? false }.map(\.rawValue)
            let permission = route.permission.map { "`\($0.rawValue)`" } ?? "none: open to everybody"
            lines.append(
                "| `\(route.method.rawValue) \(route.pattern)` | \(route.operation.id) | \(permission) | "
                    + "\(route.permission == nil ? "all, and no token is looked at" : named.joined(separator: ", ")) |"
            )
        }
        return lines.joined(separator: "\n") + "\n"
    }
}
