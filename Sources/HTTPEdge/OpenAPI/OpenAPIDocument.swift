package import Contracts
internal import HTTPTypes

/// The API's description (OpenAPI 3.1), written from the very table that routes requests, so that it cannot drift.
package struct OpenAPIDocument: Sendable {
    package let title: String
    package let version: String
    /// What `Schema.named` points to.
    package let schemas: [(name: String, schema: Schema)]

    package init(title: String, version: String, schemas: [(name: String, schema: Schema)]) {
        self.title = title
        self.version = version
        self.schemas = schemas
    }

    /// `GET /openapi.json`, describing itself too.
    package func route(describing routes: [Route]) -> Route {
        let operation = Operation(
            id: "getAPIDocument", summary: "This document.", tag: "health",
            answers: [Answer(.ok, "The document.", .json(.object([], isOpen: true)))]
        )
        let itself = Route(.get, "/openapi.json", access: .open, rateLimit: .never, operation: operation) { _, _ in
            .json(.emptyObject)
        }
        let document = json(describing: routes + [itself])
        return Route(.get, "/openapi.json", access: .open, rateLimit: .never, operation: operation) { _, _ in
            .json(document)
        }
    }

    package func json(describing routes: [Route]) -> JSON {
        let paths = Dictionary(grouping: routes, by: \.pattern).sorted { $0.key < $1.key }
        return JSONWriter.object { writer in
            writer.field("openapi", "3.1.0")
            writer.field(
                "info",
                object: {
                    $0.field("title", title)
                    $0.field("version", version)
                })
            writer.field(
                "paths",
                object: { writer in
                    for (pattern, routes) in paths {
                        writer.field(
                            pattern,
                            object: { writer in
                                for route in routes {
                                    writer.field(route.method.rawValue.lowercased(), Self.operation(route))
                                }
                            })
                    }
                })
            writer.field("components", components)
        }
    }

    private var components: JSON {
        JSONWriter.object { writer in
            writer.field(
                "securitySchemes",
                object: { writer in
                    writer.field(
                        "bearer",
                        object: {
                            $0.field("type", "http")
                            $0.field("scheme", "bearer")
                            $0.field("bearerFormat", "JWT")
                        })
                })
            writer.field(
                "schemas",
                object: { writer in
                    writer.field("Problem", Self.problem.json)
                    for (name, schema) in schemas { writer.field(name, schema.json) }
                })
        }
    }

    private static let problem = Schema.object(
        [
            .required("type", .text(pattern: "^urn:golden:problem:[a-z0-9_]+$")), .required("title", .text()),
            .required("status", .integer(400...599)), .required("code", .choice(ProblemCode.allCases.map(\.rawValue))),
            .required("detail", .text()),
            .optional("errors", .array(of: .object([.required("field", .text()), .required("message", .text())]))),
        ],
        isOpen: true
    )

    private static func operation(_ route: Route) -> JSON {
        let operation = route.operation
        return JSONWriter.object { writer in
            writer.field("operationId", operation.id)
            writer.field("summary", operation.summary)
            writer.field("tags", [operation.tag])
            switch route.access {
            case .open: writer.field("security", array: { _ in })
            case .require(let permission):
                writer.field("security", array: { $0.element(object: { $0.field("bearer", array: { _ in }) }) })
                writer.field("x-permission", permission.rawValue)
            }
            if !operation.parameters.isEmpty {
                writer.field(
                    "parameters",
                    array: { writer in
                        for parameter in operation.parameters { writer.element(self.parameter(parameter)) }
                    })
            }
            if let body = operation.body { writer.field("requestBody", self.body(body)) }
            writer.field("responses", responses(of: route))
        }
    }

    private static func parameter(_ parameter: Parameter) -> JSON {
        JSONWriter.object {
            $0.field("name", parameter.name)
            $0.field("in", parameter.place.rawValue)
            $0.field("required", parameter.isRequired)
            $0.field("description", parameter.summary)
            $0.field("schema", parameter.schema.json)
        }
    }

    private static func body(_ body: Body) -> JSON {
        JSONWriter.object { writer in
            writer.field("required", body.isRequired)
            writer.field(
                "content",
                object: { writer in
                    writer.field(
                        "application/json",
                        object: {
                            $0.field("schema", body.schema.json)
                            $0.field(ifPresent: "example", body.example)
                        })
                })
        }
    }

    private static func responses(of route: Route) -> JSON {
        let refusals = Dictionary(grouping: problems(of: route), by: \.status.code).sorted { $0.key < $1.key }
        return JSONWriter.object { writer in
            for answer in route.operation.answers { writer.field(String(answer.status.code), self.answer(answer)) }
            for (status, codes) in refusals {
                writer.field(
                    String(status),
                    object: { writer in
                        writer.field("description", codes.map { "`\($0.rawValue)`" }.joined(separator: ", "))
                        writer.field(
                            "content",
                            object: { writer in
                                writer.field(
                                    Problem.contentType,
                                    object: {
                                        $0.field("schema", Schema.named("Problem").json)
                                    })
                            })
                    })
            }
        }
    }

    private static func answer(_ answer: Answer) -> JSON {
        JSONWriter.object { writer in
            writer.field("description", answer.summary)
            if !answer.headers.isEmpty {
                writer.field(
                    "headers",
                    object: { writer in
                        for (name, schema) in answer.headers {
                            writer.field(name, object: { $0.field("schema", schema.json) })
                        }
                    })
            }
            let contents: [(String, Schema)] =
                switch answer.content {
                case .none: []
                case .json(let schema): [("application/json", schema)]
                case .text(let type): [(type, .text())]
                case .jsonOrText(let schema, let type): [("application/json", schema), (type, .text())]
                }
            if !contents.isEmpty {
                writer.field(
                    "content",
                    object: { writer in
                        for (type, schema) in contents {
                            writer.field(type, object: { $0.field("schema", schema.json) })
                        }
                    })
            }
        }
    }

    /// The route's own refusals and those that follow from its access, parameters, body and limits.
    package static func problems(of route: Route) -> [ProblemCode] {
        var codes = route.operation.problems
        codes += [.methodNotAllowed, .targetTooLong, .headersTooLarge, .internalError, .unavailable]
        let places = Set(route.operation.parameters.map(\.place))
        if places.contains(.query) { codes += [.invalidQuery, .invalidCursor] }
        // What was never asked for is refused, also where nothing may be.
        if route.method == .get { codes += [.invalidQuery] }
        if places.contains(.header) { codes += [.invalidHeader] }
        if places.contains(.path) { codes += [.notFound] }
        switch route.access {
        case .open: break
        case .require:
            codes += ProblemCode.allCases.filter { $0.status == .unauthorized && $0 != .loginFailed } + [.forbidden]
        }
        if route.rateLimit != .never { codes += [.rateLimited] }
        if route.operation.body != nil {
            codes += [
                .malformedBody, .badUTF8, .nulInText, .duplicateField, .tooDeep, .incompleteBody, .bodyTooLarge,
                .unsupportedMediaType, .validationFailed,
            ]
        }
        return ProblemCode.allCases.filter(codes.contains)
    }
}
