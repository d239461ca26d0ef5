internal import Contracts
internal import Foundation
internal import HTTPEdge
internal import HTTPTypes
internal import Hummingbird
import Testing

@Suite(.timeLimit(.minutes(5))) struct OpenAPIDocumentTests {
    /// The document as the server gives it.
    private func document() async throws -> [String: Any] {
        nonisolated(unsafe) var found: [String: Any] = [:]
        try await TestEdge.run { server in
            let answer = try await server.send("GET", "/openapi.json")
            #expect(answer.status == 200)
            found = try #require(try JSONSerialization.jsonObject(with: Data(answer.body)) as? [String: Any])
        }
        return found
    }

    @Test func `every route is described, with an id of its own`() async throws {
        let paths = try #require(try await document()["paths"] as? [String: [String: [String: Any]]])
        for route in TestEdge.routes {
            let operation = try #require(paths[route.pattern]?[route.method.rawValue.lowercased()])
            #expect(operation["operationId"] as? String == route.operation.id)
        }
        #expect(paths["/openapi.json"] != nil && paths["/health"] != nil)
        let ids = paths.values.flatMap(\.values).compactMap { $0["operationId"] as? String }
        #expect(Set(ids).count == ids.count)
    }

    @Test func `a route's refusals follow from what it asks for`() async throws {
        let paths = try #require(try await document()["paths"] as? [String: [String: [String: Any]]])
        func statuses(_ path: String, _ method: String) -> Set<String> {
            Set((paths[path]?[method]?["responses"] as? [String: Any] ?? [:]).keys)
        }
        #expect(
            statuses("/things", "post").isSuperset(
                of: ["202", "400", "401", "403", "405", "413", "414", "415", "422", "429", "431", "500", "503"]
            )
        )
        #expect(statuses("/things", "get").isSuperset(of: ["400", "401", "403", "429"]))
        #expect(statuses("/things", "get").isDisjoint(with: ["413", "415", "422"]))
        #expect(statuses("/health", "get").isDisjoint(with: ["401", "403", "429"]))
        #expect(statuses("/ready", "get").contains("503"))
    }

    @Test func `what must be sent is said to be required, and every GET may refuse its query`() throws {
        let route = Route(
            .put, "/limits/{id}", access: .open,
            operation: Operation(
                id: "setLimits", summary: "Set.", tag: "x",
                parameters: [
                    Parameter(.path, "id", .text(), "Which."),
                    Parameter(.header, "If-Match", .text(), "The version.", isRequired: true),
                    Parameter(.header, "Prefer", .text(), "How."),
                ],
                answers: []
            )
        ) { _, _ in .json(.emptyObject) }
        let plain = Route(
            .get, "/plain", access: .open, operation: Operation(id: "plain", summary: "Plain.", tag: "x", answers: [])
        ) { _, _ in .json(.emptyObject) }
        let text = OpenAPIDocument(title: "Tests", version: "1", schemas: []).json(describing: [route]).text
        for (name, isRequired) in [("id", true), ("If-Match", true), ("Prefer", false)] {
            let place = name == "id" ? "path" : "header"
            #expect(text.contains(#""name":"\#(name)","in":"\#(place)","required":\#(isRequired)"#), "\(text)")
        }
        #expect(OpenAPIDocument.problems(of: plain).contains(.invalidQuery))
        #expect(!OpenAPIDocument.problems(of: route).contains(.invalidQuery))
    }

    @Test func `open routes ask for no token, others do`() async throws {
        let paths = try #require(try await document()["paths"] as? [String: [String: [String: Any]]])
        #expect((paths["/health"]?["get"]?["security"] as? [Any])?.isEmpty == true)
        #expect((paths["/things"]?["get"]?["security"] as? [Any])?.count == 1)
    }

    @Test func `schemas are written as JSON Schema`() {
        let schema = Schema.object([
            .required("name", .name, "A name."),
            .optional("labels", .nullable(.map(of: .text(max: 5), names: "^a", max: 2))),
        ])
        let expected = [
            #"{"type":"object","required":["name"],"properties":{"name":{"description":"A name.","type":"string","#,
            #""minLength":1,"maxLength":63,"pattern":"^[A-Za-z0-9][A-Za-z0-9_-]*$"},"#,
            #""labels":{"anyOf":[{"type":"object","additionalProperties":{"type":"string","maxLength":5},"#,
            #""propertyNames":{"pattern":"^a"},"maxProperties":2},{"type":"null"}]}},"additionalProperties":false}"#,
        ]
        #expect(schema.json.text == expected.joined())
    }
}
