internal import Contracts
internal import Foundation
internal import HTTPEdge
internal import HTTPTypes
internal import HummingbirdCore
import Testing

/// The parts that need no server.
@Suite(.timeLimit(.minutes(5))) struct EdgePartsTests {
    @Test func `base64url comes back as it went, whatever the length`() {
        for count in 0..<70 {
            let bytes = (0..<count).map { UInt8(truncatingIfNeeded: $0 &* 37 &+ count) }
            #expect(Base64URL.decode(Base64URL.encode(bytes).utf8) == bytes)
        }
    }

    @Test(arguments: ["A", "AA=", "AA==", "A+", "A/", "AB", "AAB", " AA", "AA\n", "é"])
    func `base64url of another form is refused`(text: String) {
        #expect(Base64URL.decode(text.utf8) == nil)
    }

    @Test func `a cursor of another list, or made by hand, is refused`() {
        let cursor = Cursor(["2026-01-01T00:00:00.000Z", "id"])
        let text = cursor.text(list: "tasks")
        #expect(Cursor(text: text, list: "tasks") == cursor)
        #expect(Cursor(text: text, list: "agents") == nil)
        #expect(Cursor(text: Base64URL.encode("1|tasks|a|0".utf8), list: "tasks") == nil)
        #expect(Cursor(text: String(repeating: "A", count: 600), list: "tasks") == nil)
    }

    @Test func `every problem code has a status that refuses, and is listed once`() {
        for code in ProblemCode.allCases {
            #expect((400...599).contains(code.status.code))
            #expect(!code.title.isEmpty)
        }
    }

    @Test func `a problem's document is bounded`() {
        let errors = (0..<200).map { Problem.FieldError(field: "f\($0)", message: "is wrong") }
        let problem = Problem(.validationFailed, "Many.", errors: errors)
        #expect(problem.json.fields?.first { $0.name == "errors" }?.value.array?.count == Problem.errorsMax)
    }

    @Test func `a request that costs more than the limit ever allows gets no Retry-After`() throws {
        let decision = RateLimitDecision(policies: [], isAdmitted: false)
        let problem = try #require(decision.problem)
        #expect(problem.retryAfterSeconds == nil)
        #expect(problem.response.headers[.retryAfter] == nil)
    }

    @Test func `a literal path wins over a parameter`() {
        func route(_ pattern: String) -> Route {
            Route(
                .get, pattern, access: .open,
                operation: Operation(id: pattern, summary: "", tag: "", answers: [])
            ) { _, _ in .json(.null) }
        }
        let table = RouteTable([route("/a/{id}"), route("/a/recent"), route("/{x}/recent/y")])
        func found(_ path: String) -> String? {
            guard case .route(let route, let parameters) = table.match(.get, path: path) else { return nil }
            return route.pattern + (parameters["id"].map { " \($0)" } ?? "")
        }
        #expect(found("/a/recent") == "/a/recent")
        #expect(found("/a/other") == "/a/{id} other")
        #expect(found("/a/x%2Fy%20z") == "/a/{id} x/y z")
        #expect(found("/b/recent/y") == "/{x}/recent/y")
        #expect(found("/a/") == nil)
        #expect(found("a/recent") == nil)
    }
}
