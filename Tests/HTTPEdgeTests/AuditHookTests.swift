import Contracts
import Foundation
import HTTPEdge
import HTTPTypes
import Hummingbird
import Synchronization
import Testing

@Suite(.timeLimit(.minutes(5))) struct `Audit hook` {
    /// What the edge handed over, in words.
    final class Events: Sendable {
        private let all = Mutex<[AuditEvent]>([])
        var events: [AuditEvent] { all.withLock { $0 } }

        var lines: [String] {
            events.map { event in
                let actor = event.principal.map { "\($0.tenant)/\($0.subject)" } ?? "nobody"
                return "\(actor) \(event.method) \(event.path) \(event.operation) \(event.status) "
                    + (event.refusal?.code.rawValue ?? "-")
            }
        }

        @Sendable func record(_ event: AuditEvent) async { all.withLock { $0.append(event) } }
    }

    @Test func `every call that may change something and every refusal is handed over, reads are not`() async throws {
        let events = Events()
        try await TestEdge.run(adjust: { $0.audit = events.record }) { edge in
            let json = ["Content-Type": "application/json"]
            let (developer, observer) = (Mint.hs256(), Mint.hs256(Mint.claims(role: "observer")))
            _ = try await edge.send("GET", "/things", token: developer)
            _ = try await edge.send("HEAD", "/things", token: developer)
            _ = try await edge.send("GET", "/health")
            _ = try await edge.send("GET", "/fails")
            _ = try await edge.send("GET", "/nowhere")
            _ = try await edge.send("GET", "/things?limit=x", token: developer)
            #expect(events.lines.isEmpty)
            _ = try await edge.send("POST", "/things?secret=1", headers: json, token: developer, body: #"{"name":"a"}"#)
            _ = try await edge.send("POST", "/things", headers: json, token: developer, body: #"{"name":"a b"}"#)
            _ = try await edge.send("POST", "/things", headers: json, token: observer, body: #"{"name":"a"}"#)
            _ = try await edge.send("POST", "/things", headers: json, body: #"{"name":"a"}"#)
            _ = try await edge.send("POST", "/admin/reset", token: developer)
            _ = try await edge.send("GET", "/things")
            _ = try await edge.send("GET", "/things", token: developer + "x")
            _ = try await edge.send("DELETE", "/things", token: developer)
            #expect(
                events.lines == [
                    "acme/ada POST /things createThing 202 -",
                    "acme/ada POST /things createThing 422 validation_failed",
                    "acme/ada POST /things createThing 403 forbidden",
                    "nobody POST /things createThing 401 unauthenticated",
                    "acme/ada POST /admin/reset reset 403 forbidden",
                    "nobody GET /things listThings 401 unauthenticated",
                    "nobody GET /things listThings 401 token_signature",
                ]
            )
            let first = try #require(events.events.first)
            #expect(first.permission == .taskCreate && first.address == "127.0.0.1")
            #expect(first.requestID.count > 8 && first.traceID.count == 32)
        }
    }

    @Test func `what a handler has committed itself is not handed over again`() async throws {
        let events = Events()
        let route = Route(
            .post, "/kept", access: .open, operation: Operation(id: "keep", summary: "Keep.", tag: "x", answers: []),
            handler: { request, context in
                let event = try #require(context.auditEvent(of: request, status: .created))
                #expect(event.operation == "keep" && event.status == 201 && event.refusal == nil)
                context.auditIsCommitted()
                return Response(status: .created)
            }
        )
        try await TestEdge.run(routes: [route], adjust: { $0.audit = events.record }) { edge in
            let answer = try await edge.send("POST", "/kept")
            #expect(answer.status == 201)
            #expect(events.events.isEmpty)
        }
    }

    @Test func `a failure of ours and a handler's note are handed over`() async throws {
        let events = Events()
        let route = Route(
            .post, "/login", access: .open, operation: Operation(id: "login", summary: "In.", tag: "auth", answers: []),
            handler: { _, context in
                context.setAuditNote(AuditNote(actor: "bob", role: .observer, tenant: TenantID(literal: "beta")))
                throw POSIXError(.EIO)
            }
        )
        try await TestEdge.run(routes: [route], adjust: { $0.audit = events.record }) { edge in
            #expect(try await edge.send("POST", "/login").status == 500)
            let event = try #require(events.events.first)
            #expect(event.status == 500 && event.refusal?.code == .internalError && event.permission == nil)
            #expect(event.note?.actor == "bob" && event.note?.tenant?.text == "beta" && event.principal == nil)
        }
    }
}
