package import Contracts
package import HTTPTypes

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
}

/// A parameter in the path, the query or a header.
package struct Parameter: Sendable {
    package enum Place: String, Sendable { case path, query, header }

    package let place: Place
    package let name: String
    package let schema: Schema
    package let summary: String

    package init(_ place: Place, _ name: String, _ schema: Schema, _ summary: String) {
        self.place = place
        self.name = name
        self.schema = schema
        self.summary = summary
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
