internal import Contracts
internal import Crypto
internal import Foundation
internal import HTTPEdge
internal import HTTPTypes
internal import Hummingbird
internal import Logging
internal import ServiceLifecycle
internal import Synchronization
internal import TestSupport

/// A real server on a port of its own, with routes that show what the edge does.
struct TestEdge: Sendable {
    static let secret = Array("q7Zp1xV9sLw3Rk8Tn5Yb2Hd6Fg4Jm0Cu".utf8)

    static let silence = Logger(label: "edge-tests") { _ in SwiftLogNoOpLogHandler() }

    let port: Int
    let edge: EdgeConfiguration
    let metrics: RecordedMetrics
    let group: ServiceGroup

    /// Runs `body` against the server, then shuts it down and waits for it.
    static func run(
        tokens: TokenConfiguration = TokenConfiguration(secrets: [secret]),
        now: @escaping @Sendable () -> Date = { Date() },
        server: EdgeServerConfiguration = EdgeServerConfiguration(port: 0), routes: [Route] = [],
        checks: [Readiness.Check] = [], adjust: (inout EdgeConfiguration) -> Void = { _ in },
        _ body: @Sendable (TestEdge) async throws -> Void
    ) async throws {
        let logger = Self.silence
        let metrics = RecordedMetrics()
        var edge = EdgeConfiguration(
            verifier: try await TokenVerifier(tokens, logger: logger, now: now), metrics: metrics.edge
        )
        adjust(&edge)
        let readiness = Readiness(checks, drain: edge.drain, logger: logger, maxAge: .zero)
        let health = HealthRoutes(service: "tests", version: "1", readiness: readiness, metrics: edge.metrics)
        var all = health.routes + Self.routes + routes
        all.append(OpenAPIDocument(title: "Tests", version: "1", schemas: []).route(describing: all))
        let (ports, source) = AsyncStream<Int>.makeStream()
        let service = EdgeServer(server, edge: edge, table: RouteTable(all), readiness: readiness, logger: logger) {
            source.yield($0)
        }
        let group = ServiceGroup(configuration: ServiceGroupConfiguration(services: [service], logger: logger))
        let started = edge
        try await withThrowingTaskGroup(of: Void.self) { tasks in
            tasks.addTask { try await group.run() }
            var iterator = ports.makeAsyncIterator()
            guard let port = await iterator.next() else { return }
            let result: Result<Void, any Error>
            do {
                try await body(TestEdge(port: port, edge: started, metrics: metrics, group: group))
                result = .success(())
            } catch {
                result = .failure(error)
            }
            await group.triggerGracefulShutdown()
            try await tasks.waitForAll()
            try result.get()
        }
    }

    static let routes: [Route] = [
        Route(
            .get, "/things", access: .require(.taskRead),
            operation: Operation(
                id: "listThings", summary: "List.", tag: "things",
                parameters: [Parameter(.query, "limit", .integer(1...200), "How many.")], answers: []
            ),
            handler: { request, context in
                var query = try QueryReader(request)
                let limit = try query.int("limit", in: 1...200) ?? 50
                let cursor = try query.cursor(list: "things")
                try query.refuseUnknown()
                let principal = try context.requirePrincipal()
                return .json(
                    JSONWriter.object {
                        $0.field("limit", limit)
                        $0.field("tenant", principal.tenant.text)
                        $0.field("role", principal.role.rawValue)
                        $0.field(
                            "next_cursor",
                            Cursor(["\((Int(cursor?.keys.first ?? "0") ?? 0) + limit)"]).text(list: "things"))
                    }
                )
            }
        ),
        Route(
            .post, "/things", access: .require(.taskCreate), rateLimit: .byHandler,
            operation: Operation(
                id: "createThing", summary: "Create.", tag: "things",
                parameters: [Parameter(.header, "Idempotency-Key", .text(min: 1, max: 255), "Once only.")],
                body: Body(.object([.required("name", .name)])),
                answers: [Answer(.accepted, "Taken.", .json(.anything))]
            ),
            handler: { request, context in
                let key = try request.idempotencyKey()
                var body = try JSONReader(try await request.readJSON())
                let name: ProjectID = try body.name("name")
                try body.refuseUnknown()
                try await context.countAgainstLimits()
                return .json(
                    JSONWriter.object {
                        $0.field("name", name.text)
                        $0.field(ifPresent: "key", key)
                    }, status: .accepted
                )
            }
        ),
        Route(
            .get, "/things/{id}", access: .require(.taskRead),
            operation: Operation(id: "getThing", summary: "One.", tag: "things", answers: []),
            handler: { _, context in .json(JSONWriter.object { $0.field("id", context.path("id")) }) }
        ),
        Route(
            .post, "/admin/reset", access: .require(.breakerReset),
            operation: Operation(id: "reset", summary: "Reset.", tag: "admin", answers: []),
            handler: { _, _ in .json(.emptyObject) }
        ),
        Route(
            .get, "/fails", access: .open,
            operation: Operation(id: "fails", summary: "Fails.", tag: "things", answers: []),
            handler: { _, _ in throw POSIXError(.EIO) }
        ),
    ]

    /// One request on a connection of its own.
    func send(
        _ method: String, _ path: String, headers: [String: String] = [:], token: String? = nil, body: String? = nil
    ) async throws -> RawAnswer {
        try await blocking { [port] in
            let connection = try RawConnection(port: port)
            var text = "\(method) \(path) HTTP/1.1\r\nHost: tests\r\n"
            for (name, value) in headers { text += "\(name): \(value)\r\n" }
            if let token { text += "Authorization: Bearer \(token)\r\n" }
            if let body { text += "Content-Length: \(body.utf8.count)\r\n" }
            try connection.send(text + "\r\n" + (body ?? ""))
            return try connection.readAnswer(hasBody: method != "HEAD")
        }
    }
}

/// What the edge reported.
final class RecordedMetrics: Sendable {
    private let lines = Mutex<[String]>([])

    var recorded: [String] { lines.withLock { $0 } }
    /// Who called what failed.
    var callers: [String] { failed.withLock { $0 } }
    private let failed = Mutex<[String]>([])

    var edge: EdgeMetrics {
        EdgeMetrics(
            record: { route, method, status, _ in self.lines.withLock { $0.append("\(method) \(route) \(status)") } },
            render: { "up 1\n" }, failed: { caller in self.failed.withLock { $0.append(caller) } }
        )
    }
}

/// Makes tokens, good ones and others.
enum Mint {
    static func claims(
        iss: String = "golden", aud: String = "\"golden-api\"", sub: String? = "ada", role: String? = "developer",
        tenant: String? = "acme", expiresIn: Int? = 600, extra: [String] = []
    ) -> String {
        let now = Int(Date().timeIntervalSince1970)
        var fields = ["\"iss\":\"\(iss)\"", "\"aud\":\(aud)", "\"iat\":\(now)"] + extra
        if let sub { fields.append("\"sub\":\"\(sub)\"") }
        if let role { fields.append("\"role\":\"\(role)\"") }
        if let tenant { fields.append("\"tenant\":\"\(tenant)\"") }
        if let expiresIn { fields.append("\"exp\":\(now + expiresIn)") }
        return "{\(fields.joined(separator: ","))}"
    }

    static func hs256(
        _ claims: String = claims(), header: String = #"{"alg":"HS256","typ":"JWT"}"#, secret: [UInt8] = TestEdge.secret
    ) -> String {
        let signed = Base64URL.encode(header.utf8) + "." + Base64URL.encode(claims.utf8)
        let code = HMAC<SHA256>.authenticationCode(for: Array(signed.utf8), using: SymmetricKey(data: secret))
        return signed + "." + Base64URL.encode(code)
    }
}
