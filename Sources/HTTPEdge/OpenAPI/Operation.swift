package import Contracts
package import HTTPTypes
internal import Hummingbird

/// What the API document says about one route.
package struct Operation: Sendable {
    /// Unique; also the name that rate limits are configured by.
    package let id: String
    package let summary: String
    package let tag: String
    package let parameters: [Parameter]
    package let body: Body?
    package let answers: [Answer]
    /// Refusals of the route's own; those every route may give are added by the document.
    package let problems: [ProblemCode]

    package init(
        id: String, summary: String, tag: String, parameters: [Parameter] = [], body: Body? = nil, answers: [Answer],
        problems: [ProblemCode] = []
    ) {
        self.id = id
        self.summary = summary
        self.tag = tag
        self.parameters = parameters
        self.body = body
        self.answers = answers
        self.problems = problems
    }

    /// Whether a retry with the same `Idempotency-Key` is safe.
    package var takesIdempotencyKey: Bool {
        parameters.contains { $0.place == .header && $0.name == HTTPField.Name.idempotencyKey.rawName }
    }
}

/// A parameter in the path, the query or a header.
package struct Parameter: Sendable {
    package enum Place: String, Sendable { case path, query, header }

    package let place: Place
    package let name: String
    package let schema: Schema
    package let summary: String
    /// Whether a request without it is refused.
    package let isRequired: Bool

    /// - Parameter isRequired: what stands in the path always is.
    package init(_ place: Place, _ name: String, _ schema: Schema, _ summary: String, isRequired: Bool = false) {
        self.place = place
        self.name = name
        self.schema = schema
        self.summary = summary
        self.isRequired = isRequired || place == .path
    }

    /// What `Request.idempotencyKey()` reads.
    package static func idempotencyKey(_ summary: String) -> Parameter {
        let schema = Schema.text(min: 1, max: Request.idempotencyKeyBytesMax, pattern: "^[!-~]+$")
        return Parameter(.header, HTTPField.Name.idempotencyKey.rawName, schema, summary)
    }
}

/// A JSON body.
package struct Body: Sendable {
    package let schema: Schema
    package let isRequired: Bool
    package let example: JSON?

    package init(_ schema: Schema, isRequired: Bool = true, example: JSON? = nil) {
        self.schema = schema
        self.isRequired = isRequired
        self.example = example
    }
}

/// One successful answer.
package struct Answer: Sendable {
    package enum Content: Sendable {
        case none
        case json(Schema)
        /// Text of that media type.
        case text(String)
        /// One JSON document, or a text stream when the client asks for that media type.
        case jsonOrText(Schema, String)
    }

    package let status: HTTPResponse.Status
    package let summary: String
    package let content: Content
    package let headers: [(name: String, schema: Schema)]

    package init(
        _ status: HTTPResponse.Status, _ summary: String, _ content: Content,
        headers: [(name: String, schema: Schema)] = []
    ) {
        self.status = status
        self.summary = summary
        self.content = content
        self.headers = headers
    }
}
