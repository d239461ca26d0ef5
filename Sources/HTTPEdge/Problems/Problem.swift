package import Contracts
package import HTTPTypes
package import Hummingbird
internal import NIOCore

/// Why a request was refused, as it goes to the client (RFC 9457). Thrown by handlers and rendered in one place.
package struct Problem: Error, Sendable, Equatable {
    package static let contentType = "application/problem+json"
    /// More field errors than this are left out of the document.
    package static let errorsMax = 50

    package let code: ProblemCode
    /// What happened this time, for the caller's eyes: no secrets, no inner workings.
    package let detail: String
    package let errors: [FieldError]
    /// Seconds until a retry may succeed; becomes `Retry-After`.
    package let retryAfterSeconds: Int?
    /// Members beyond RFC 9457's own, such as `checks` or `policies`.
    package let members: [Member]
    /// `Allow`, `WWW-Authenticate` and their like.
    package var headers: HTTPFields

    package init(
        _ code: ProblemCode, _ detail: String, errors: [FieldError] = [], retryAfterSeconds: Int? = nil,
        members: [Member] = [], headers: HTTPFields = [:]
    ) {
        self.code = code
        self.detail = detail
        self.errors = errors
        self.retryAfterSeconds = retryAfterSeconds
        self.members = members
        self.headers = headers
    }

    /// One field that is wrong; `field` as a person would write it: `labels.team`.
    package struct FieldError: Sendable, Equatable {
        package let field: String
        package let message: String

        package init(field: String, message: String) {
            self.field = field
            self.message = message
        }
    }

    package struct Member: Sendable, Equatable {
        package let name: String
        package let value: JSON

        package init(name: String, value: JSON) {
            self.name = name
            self.value = value
        }
    }

    /// One field is wrong: 422.
    package static func invalid(_ field: String, _ message: String) -> Problem {
        Problem(
            .validationFailed, "\(field) \(message).", errors: [FieldError(field: field, message: message)]
        )
    }

    /// Unknown, or another tenant's: the two are told apart by nobody.
    package static func notFound(_ what: String) -> Problem { Problem(.notFound, "There is no such \(what).") }

    /// The document.
    package var json: JSON {
        JSONWriter.object { writer in
            writer.field("type", "urn:golden:problem:\(code.rawValue)")
            writer.field("title", code.title)
            writer.field("status", code.status.code)
            writer.field("code", code.rawValue)
            writer.field("detail", detail)
            if !errors.isEmpty {
                writer.field(
                    "errors",
                    array: { writer in
                        for error in errors.prefix(Self.errorsMax) {
                            writer.element(object: {
                                $0.field("field", error.field)
                                $0.field("message", error.message)
                            })
                        }
                    })
            }
            for member in members { writer.field(member.name, member.value) }
        }
    }

    /// The answer, with the headers that belong to the problem.
    package var response: Response {
        var headers = headers
        headers[.contentType] = Self.contentType
        if let retryAfterSeconds { headers[.retryAfter] = String(max(1, retryAfterSeconds)) }
        if code.status == .unauthorized { headers[.wwwAuthenticate] = challenge }
        let body = ResponseBody(byteBuffer: ByteBuffer(bytes: json.bytes))
        return Response(status: code.status, headers: headers, body: body)
    }

    /// RFC 6750, section 3: no error code when there was no token at all.
    private var challenge: String {
        code == .unauthenticated
            ? "Bearer realm=\"golden\""
            : "Bearer realm=\"golden\", error=\"invalid_token\", error_description=\"\(code.title)\""
    }
}
