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
        let reason = try body.optionalText("reason", max: reasonMax)
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
}
