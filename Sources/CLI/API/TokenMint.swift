internal import FoundationEssentials
internal import JWTKit

/// Signs tokens the API accepts.
struct TokenMint: Sendable {
    static let issuer = "golden"
    static let audience = "golden-api"

    let secret: String
    var issuer = Self.issuer
    var audience = Self.audience

    func token(subject: String, role: String, tenant: String, seconds: Int) async throws(CLIError) -> String {
        let now = Int(Date().timeIntervalSince1970)
        let claims = Claims(
            iss: issuer, aud: audience, sub: subject, role: role, tenant: tenant, iat: now, exp: now + seconds
        )
        do {
            let keys = await JWTKeyCollection().add(hmac: HMACKey(from: secret), digestAlgorithm: .sha256)
            return try await keys.sign(claims)
        } catch {
            throw CLIError(.noSecret, "The token could not be signed.", underlying: error)
        }
    }

    struct Claims: JWTPayload {
        let iss: String
        let aud: String
        let sub: String
        let role: String
        let tenant: String
        let iat: Int
        let exp: Int

        /// The API checks; this program only signs.
        func verify(using algorithm: some JWTAlgorithm) async throws {}
    }
}
