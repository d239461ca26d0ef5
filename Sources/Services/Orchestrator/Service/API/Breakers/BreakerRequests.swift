internal import Contracts
internal import Coordination
internal import HTTPEdge
internal import HTTPTypes
internal import Hummingbird

/// Reads what operators send.
enum BreakerRequests {
    static let bodyBytesMax = 64 * 1024
    static let reasonMax = 500
    static let secondsMax = 30 * 86_400

    /// `{"name", "reason", "expires_in_seconds"}`. A reset needs no reason and never ends.
    static func command(
        _ mode: BreakerMode, _ request: Request, by principal: Principal, version: Int?
    ) async throws -> BreakerCommand {
        var body = try JSONReader(try await request.readJSON(limit: bodyBytesMax))
        let name = try body.string("name")
        guard BreakerRegistry.isName(name) else {
            throw body.error(
                "name",
                "must be 1 to \(BreakerRegistry.nameBytesMax) of A-Z a-z 0-9 . _ : / [ ] - and start with a "
                    + "letter or digit")
        }
        let reason = try body.optionalString("reason")
        if let reason, !(1...reasonMax).contains(reason.unicodeScalars.count) {
            throw body.error("reason", "must be 1 to \(reasonMax) characters")
        }
        var seconds: Int?
        switch mode {
        case .automatic: break
        case .forcedOpen, .disabled, .metricsOnly:
            guard reason != nil else { throw body.error("reason", "is required") }
            seconds = try body.optionalInt("expires_in_seconds")
        }
        if let seconds, !(1...secondsMax).contains(seconds) {
            throw body.error("expires_in_seconds", "must be from 1 to \(secondsMax)")
        }
        try body.refuseUnknown()
        return BreakerCommand(
            mode, name: name, reason: reason ?? "reset by \(principal.subject)", actor: principal.subject,
            duration: seconds.map { .seconds($0) }, version: version
        )
    }

    /// The version in `If-Match`, as an ETag of these routes gave it. Nil when it was not sent, or is `*`.
    /// - Throws: 400 for anything else.
    static func expectedVersion(of request: Request) throws(Problem) -> Int? {
        let values = request.headers[values: .ifMatch]
        guard let value = values.first, value != "*" else { return nil }
        let digits = value.hasPrefix("\"") && value.hasSuffix("\"") ? value.dropFirst().dropLast() : value[...]
        guard values.count == 1, let version = Int(digits), version >= 0 else {
            let message = "must be one version, such as \"1760000000000\""
            throw Problem(
                .invalidHeader, "If-Match \(message).",
                errors: [Problem.FieldError(field: "If-Match", message: message)]
            )
        }
        return version
    }
}
