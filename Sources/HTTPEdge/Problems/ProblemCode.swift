package import HTTPTypes

/// Every way an API call can be refused: the stable `code`, its status and its title, in this one place.
package enum ProblemCode: String, Sendable, CaseIterable {
    // 400: the request cannot be read.
    case malformedRequest = "request_malformed"
    case malformedBody = "json_malformed"
    case badUTF8 = "json_bad_utf8"
    case nulInText = "json_nul_in_text"
    case duplicateField = "json_duplicate_key"
    case tooDeep = "json_too_deep"
    case incompleteBody = "body_incomplete"
    case invalidQuery = "invalid_query"
    case invalidCursor = "invalid_cursor"
    case invalidHeader = "invalid_header"
    // 401: nobody known makes it.
    case unauthenticated
    case tokenMalformed = "token_malformed"
    case tokenTooLarge = "token_too_large"
    case tokenAlgorithm = "token_algorithm"
    case tokenUnknownKey = "token_unknown_key"
    case tokenSignature = "token_signature"
    case tokenClaims = "token_claims"
    case tokenIssuer = "token_issuer"
    case tokenAudience = "token_audience"
    case tokenExpired = "token_expired"
    case tokenRevoked = "token_revoked"
    case tokenNotYetValid = "token_not_yet_valid"
    case loginFailed = "login_failed"
    // 402: the tenant's money.
    case budgetExhausted = "budget_exhausted"
    case budgetBlocked = "budget_blocked"
    // 403 to 431: understood and refused.
    case forbidden
    case selfApproval = "self_approval"
    case notFound = "not_found"
    case methodNotAllowed = "method_not_allowed"
    case conflict
    case taskEnded = "task_ended"
    case preconditionFailed = "precondition_failed"
    case preconditionRequired = "precondition_required"
    case bodyTooLarge = "body_too_large"
    case targetTooLong = "target_too_long"
    case unsupportedMediaType = "unsupported_media_type"
    case validationFailed = "validation_failed"
    case idempotencyMismatch = "idempotency_mismatch"
    case rateLimited = "rate_limited"
    case loginLocked = "login_locked"
    case headersTooLarge = "headers_too_large"
    // 5xx: our side.
    case internalError = "internal_error"
    case unavailable
    case notReady = "not_ready"

    package var status: HTTPResponse.Status {
        switch self {
        case .malformedRequest, .malformedBody, .badUTF8, .nulInText, .duplicateField, .tooDeep, .incompleteBody,
            .invalidQuery, .invalidCursor, .invalidHeader:
            .badRequest
        case .unauthenticated, .tokenMalformed, .tokenTooLarge, .tokenAlgorithm, .tokenUnknownKey, .tokenSignature,
            .tokenClaims, .tokenIssuer, .tokenAudience, .tokenExpired, .tokenRevoked, .tokenNotYetValid,
            .loginFailed:
            .unauthorized
        case .budgetExhausted, .budgetBlocked: HTTPResponse.Status(code: 402, reasonPhrase: "Payment Required")
        case .forbidden, .selfApproval: .forbidden
        case .notFound: .notFound
        case .methodNotAllowed: .methodNotAllowed
        case .conflict, .taskEnded: .conflict
        case .preconditionFailed: .preconditionFailed
        case .preconditionRequired: .preconditionRequired
        case .bodyTooLarge: .contentTooLarge
        case .targetTooLong: .uriTooLong
        case .unsupportedMediaType: .unsupportedMediaType
        case .validationFailed, .idempotencyMismatch: .unprocessableContent
        case .rateLimited, .loginLocked: .tooManyRequests
        case .headersTooLarge: .requestHeaderFieldsTooLarge
        case .internalError: .internalServerError
        case .unavailable, .notReady: .serviceUnavailable
        }
    }

    /// Short and the same for every occurrence, as RFC 9457 asks.
    package var title: String {
        switch self {
        case .malformedRequest: "The request is not HTTP"
        case .malformedBody: "The body is not JSON"
        case .badUTF8: "The text is not UTF-8"
        case .nulInText: "A text holds the NUL character"
        case .duplicateField: "A field stands twice"
        case .tooDeep: "The body is nested too deep"
        case .incompleteBody: "The body ended early"
        case .invalidQuery: "The query cannot be read"
        case .invalidCursor: "The cursor is not one this API gave"
        case .invalidHeader: "A header cannot be read"
        case .unauthenticated: "A token is needed"
        case .tokenMalformed, .tokenTooLarge: "The token cannot be read"
        case .tokenAlgorithm, .tokenUnknownKey, .tokenSignature: "The token's signature is not trusted"
        case .tokenClaims, .tokenIssuer, .tokenAudience: "The token is not for this API"
        case .tokenExpired: "The token has expired"
        case .tokenRevoked: "The token was revoked"
        case .tokenNotYetValid: "The token is not valid yet"
        case .loginFailed: "The login is not accepted"
        case .budgetExhausted: "The budget is used up"
        case .budgetBlocked: "An overage blocks the budget"
        case .forbidden: "The role does not allow this"
        case .selfApproval: "Nobody approves their own proposal"
        case .notFound: "There is nothing here"
        case .methodNotAllowed: "The method is not allowed here"
        case .conflict: "The resource is in another state"
        case .taskEnded: "The task has already ended"
        case .preconditionFailed: "The resource is at another version"
        case .preconditionRequired: "The version to change is needed"
        case .bodyTooLarge: "The body is too large"
        case .targetTooLong: "The request's address is too long"
        case .unsupportedMediaType: "The body's media type is not supported"
        case .validationFailed: "The request is not valid"
        case .idempotencyMismatch: "The idempotency key was used for another request"
        case .rateLimited: "Too many requests"
        case .loginLocked: "Too many failed logins"
        case .headersTooLarge: "The headers are too large"
        case .internalError: "The request failed on our side"
        case .unavailable: "The service cannot answer now"
        case .notReady: "The service is not ready"
        }
    }
}
