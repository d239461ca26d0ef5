internal import Contracts
internal import FoundationEssentials

/// The claims of a token whose signature was good.
struct TokenClaims {
    let principal: Principal
    let expiresAt: Date
    let issuedAt: Date?

    /// - Throws: a problem that names the claim which is missing or wrong.
    init(_ json: JSON, _ configuration: TokenConfiguration, now: Date) throws(Problem) {
        do throws(JSONError) {
            var claims = try JSONReader(json)
            try self.init(&claims, configuration, now: now)
        } catch {
            throw Problem(.tokenClaims, "The token's claim \(error.description).")
        }
    }

    private init(_ claims: inout JSONReader, _ configuration: TokenConfiguration, now: Date) throws(JSONError) {
        let issuer = try claims.string("iss")
        let audiences = try Self.audiences(&claims)
        let expires = try Self.date("exp", &claims)
        guard let expires else { throw claims.error("exp", "is required") }
        let notBefore = try Self.date("nbf", &claims)
        let issuedAt = try Self.date("iat", &claims)
        let subject = try claims.bounded("sub", bytesMax: Principal.subjectBytesMax)
        guard !subject.isEmpty, subject.unicodeScalars.allSatisfy({ $0.properties.generalCategory != .control }) else {
            throw claims.error("sub", "must be a text without control characters")
        }
        guard let role = Role(claim: try claims.string("role")) else {
            throw claims.error("role", "is not a known role")
        }
        principal = Principal(subject: subject, role: role, tenant: try claims.name("tenant"))
        expiresAt = expires
        self.issuedAt = issuedAt
        checks = Checks(
            issuer: issuer == configuration.issuer, audience: audiences.contains(configuration.audience),
            expired: now >= expires.addingTimeInterval(configuration.leeway),
            early: [notBefore, issuedAt].compactMap { $0 }.contains {
                $0 > now.addingTimeInterval(configuration.leeway)
            }
        )
    }

    private let checks: Checks

    private struct Checks {
        let issuer: Bool
        let audience: Bool
        let expired: Bool
        let early: Bool
    }

    /// - Throws: when the claims can be read but do not hold here and now.
    func require() throws(Problem) {
        if !checks.issuer { throw Problem(.tokenIssuer, "The token was issued by somebody this API does not trust.") }
        if !checks.audience { throw Problem(.tokenAudience, "The token is meant for another API.") }
        if checks.expired { throw Problem(.tokenExpired, "The token has expired; get a new one.") }
        if checks.early { throw Problem(.tokenNotYetValid, "The token is not valid yet; compare the clocks.") }
    }

    private static func audiences(_ claims: inout JSONReader) throws(JSONError) -> [String] {
        let audience = try claims.required("aud")
        if let one = audience.string { return [one] }
        return try claims.optionalStrings("aud") ?? []
    }

    /// A NumericDate: seconds since 1970, from then to the year 9999.
    private static func date(_ name: String, _ claims: inout JSONReader) throws(JSONError) -> Date? {
        guard let seconds = try claims.optionalDouble(name) else { return nil }
        guard (0...253_402_300_799).contains(seconds) else { throw claims.error(name, "must be a time") }
        return Date(timeIntervalSince1970: seconds)
    }
}
