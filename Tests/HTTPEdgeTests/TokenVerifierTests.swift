internal import Contracts
internal import Crypto
internal import Foundation
internal import HTTPEdge
internal import HTTPTypes
internal import HummingbirdCore
internal import JWTKit
internal import Logging
internal import Synchronization
internal import TestSupport
import Testing

@Suite(.timeLimit(.minutes(5))) struct TokenVerifierTests {
    private static let logger = Logger(label: "tests") { _ in SwiftLogNoOpLogHandler() }

    private func verifier(
        _ configuration: TokenConfiguration = TokenConfiguration(secrets: [TestEdge.secret]),
        now: @escaping @Sendable () -> Date = { Date() }
    ) async throws -> TokenVerifier {
        try await TokenVerifier(configuration, logger: Self.logger, now: now)
    }

    private func refusal(of token: String, by verifier: TokenVerifier) async -> ProblemCode? {
        do {
            _ = try await verifier.verify(authorization: "Bearer " + token)
            return nil
        } catch {
            #expect(error.code.status == .unauthorized)
            return error.code
        }
    }

    @Test func `a revoked token is refused though it was good a moment ago, and only its holder's`() async throws {
        let revocations = TokenRevocations()
        let configuration = TokenConfiguration(secrets: [TestEdge.secret])
        let verifier = try await TokenVerifier(configuration, revocations: revocations, logger: Self.logger)
        let ada = TokenRevocations.Holder(tenant: TenantID(literal: "acme"), subject: "ada")
        let token = Mint.hs256()
        #expect(await refusal(of: token, by: verifier) == nil)
        let strangers = [
            TokenRevocations.Holder(tenant: TenantID(literal: "beta"), subject: "ada"),
            TokenRevocations.Holder(tenant: ada.tenant, subject: "bob"),
        ]
        revocations.adopt(Dictionary(uniqueKeysWithValues: strangers.map { ($0, TokenRevocations.Standing.refused) }))
        #expect(await refusal(of: token, by: verifier) == nil)
        revocations.adopt([ada: .refused])
        #expect(await refusal(of: token, by: verifier) == .tokenRevoked)
        // Let in again: what was issued before stays refused, what is issued after counts.
        revocations.adopt([ada: .issuedAfter(Date().addingTimeInterval(60))])
        #expect(await refusal(of: token, by: verifier) == .tokenRevoked)
        revocations.adopt([ada: .issuedAfter(Date().addingTimeInterval(-60))])
        #expect(await refusal(of: token, by: verifier) == nil)
    }

    @Test func `a good token names its principal`() async throws {
        let token = try await verifier().verify(authorization: "Bearer " + Mint.hs256())
        #expect(token.principal.subject == "ada")
        #expect(token.principal.role == .developer)
        #expect(token.principal.tenant == TenantID(literal: "acme"))
    }

    @Test func `the scheme is read whatever its case, and a list of audiences will do`() async throws {
        let token = Mint.hs256(Mint.claims(aud: #"["other","golden-api"]"#))
        _ = try await verifier().verify(authorization: "bearer " + token)
    }

    @Test(arguments: [nil, "", "Basic YTpi", "Bearer", "Bearer "])
    func `without a bearer token nobody is known`(header: String?) async throws {
        let verifier = try await verifier()
        await #expect { _ = try await verifier.verify(authorization: header) } throws: {
            ($0 as? Problem)?.code == .unauthenticated && ($0 as? Problem)?.response.headers[.wwwAuthenticate] != nil
        }
    }

    static let badTokens: [(String, String, ProblemCode)] = [
        ("not three parts", "a.b", .tokenMalformed),
        ("not base64url", "a=.b.c", .tokenMalformed),
        ("header is no JSON", Base64URL.encode("x".utf8) + ".e30.AA", .tokenMalformed),
        ("header names a field twice", Mint.hs256(header: #"{"alg":"HS256","alg":"none"}"#), .tokenMalformed),
        ("critical extension", Mint.hs256(header: #"{"alg":"HS256","crit":["exp"]}"#), .tokenMalformed),
        ("none", Mint.hs256(header: #"{"alg":"none"}"#), .tokenAlgorithm),
        ("None", Mint.hs256(header: #"{"alg":"None"}"#), .tokenAlgorithm),
        ("another hash", Mint.hs256(header: #"{"alg":"HS512"}"#), .tokenAlgorithm),
        ("an algorithm no key is for", Mint.hs256(header: #"{"alg":"RS256"}"#), .tokenAlgorithm),
        ("unknown kid", Mint.hs256(header: #"{"alg":"HS256","kid":"who"}"#), .tokenUnknownKey),
        ("another secret", Mint.hs256(secret: Array(repeating: 7, count: 32)), .tokenSignature),
        ("other issuer", Mint.hs256(Mint.claims(iss: "evil")), .tokenIssuer),
        ("other audience", Mint.hs256(Mint.claims(aud: "\"other\"")), .tokenAudience),
        ("audience of another type", Mint.hs256(Mint.claims(aud: "7")), .tokenClaims),
        ("expired beyond the leeway", Mint.hs256(Mint.claims(expiresIn: -61)), .tokenExpired),
        ("no exp", Mint.hs256(Mint.claims(expiresIn: nil)), .tokenClaims),
        ("no sub", Mint.hs256(Mint.claims(sub: nil)), .tokenClaims),
        ("empty sub", Mint.hs256(Mint.claims(sub: "")), .tokenClaims),
        ("control character in sub", Mint.hs256(Mint.claims(sub: #"a\nb"#)), .tokenClaims),
        ("no role", Mint.hs256(Mint.claims(role: nil)), .tokenClaims),
        ("made-up role", Mint.hs256(Mint.claims(role: "root")), .tokenClaims),
        ("anonymous as a claim", Mint.hs256(Mint.claims(role: "anonymous")), .tokenClaims),
        ("no tenant", Mint.hs256(Mint.claims(tenant: nil)), .tokenClaims),
        ("tenant that would widen a subject", Mint.hs256(Mint.claims(tenant: "a.>")), .tokenClaims),
        (
            "not yet valid", Mint.hs256(Mint.claims(extra: ["\"nbf\":\(Int(Date().timeIntervalSince1970) + 120)"])),
            .tokenNotYetValid
        ),
        ("time that is no time", Mint.hs256(Mint.claims(expiresIn: nil, extra: ["\"exp\":1e300"])), .tokenClaims),
        ("exp as a text", Mint.hs256(Mint.claims(expiresIn: nil, extra: [#""exp":"9999999999""#])), .tokenClaims),
        ("exp before 1970", Mint.hs256(Mint.claims(expiresIn: nil, extra: [#""exp":-1"#])), .tokenClaims),
        ("a role in capitals", Mint.hs256(Mint.claims(role: "Admin")), .tokenClaims),
        ("a claim that stands twice", Mint.hs256(Mint.claims(extra: [#""role":"admin""#])), .tokenMalformed),
        (
            "a key in its own header",
            Mint.hs256(
                header: #"{"alg":"HS256","jwk":{"kty":"oct","k":"BwcH"}}"#, secret: Array(repeating: 7, count: 32)),
            .tokenSignature
        ),
        (
            "a key somewhere else",
            Mint.hs256(
                header: #"{"alg":"HS256","x5u":"http://127.0.0.1:1/key"}"#, secret: Array(repeating: 7, count: 32)),
            .tokenSignature
        ),
        ("a space behind it", Mint.hs256() + " ", .tokenMalformed),
        ("two tokens", Mint.hs256() + ", Bearer " + Mint.hs256(), .tokenMalformed),
        (
            "too large", Mint.hs256(Mint.claims(extra: ["\"x\":\"\(String(repeating: "x", count: 9000))\""])),
            .tokenTooLarge
        ),
    ]

    @Test(arguments: badTokens)
    func `a bad token is refused with the code that says why`(what: String, token: String, code: ProblemCode)
        async throws
    {
        let verifier = try await verifier()
        #expect(await refusal(of: token, by: verifier) == code, "\(what)")
        // Asked again, when it might have been remembered, the answer is the same.
        #expect(await refusal(of: token, by: verifier) == code, "\(what)")
    }

    @Test func `a changed signature is refused, one letter being enough`() async throws {
        let verifier = try await verifier()
        let token = Mint.hs256()
        _ = try await verifier.verify(token: token)
        let swapped = String(token.dropLast(2)) + (token.hasSuffix("AA") ? "BA" : "AA")
        #expect(await refusal(of: swapped, by: verifier) != nil)
        #expect(await refusal(of: String(token.dropLast(43)), by: verifier) == .tokenSignature)
    }

    @Test func `a remembered token stops counting when it expires`() async throws {
        let clock = Mutex(Date())
        let verifier = try await verifier(now: { clock.withLock { $0 } })
        let token = Mint.hs256(Mint.claims(expiresIn: 100))
        _ = try await verifier.verify(token: token)
        clock.withLock { $0 += 155 }
        _ = try await verifier.verify(token: token)
        clock.withLock { $0 += 10 }
        #expect(await refusal(of: token, by: verifier) == .tokenExpired)
    }

    @Test func `a former secret still verifies, a removed one does not`() async throws {
        let old = Array("Old9Zp1xV9sLw3Rk8Tn5Yb2Hd6Fg4Jm0".utf8)
        let both = try await verifier(TokenConfiguration(secrets: [TestEdge.secret, old]))
        _ = try await both.verify(token: Mint.hs256(secret: old))
        #expect(await refusal(of: Mint.hs256(secret: old), by: try await verifier()) == .tokenSignature)
    }

    static let weakSecrets = [
        "", "secret", "changeme", String(repeating: "a", count: 64), String(repeating: "changeme", count: 8),
        "your-super-secret-jwt-key-change-me-in-production", "0123456789012345678901234567890123456789",
        "abcdabcdabcdabcdabcdabcdabcdabcdabcd", "q7Zp1xV9sLw3Rk8Tn5Yb2Hd6Fg4Jm0C",
    ]

    @Test(arguments: weakSecrets)
    func `a weak secret stops the start and is not printed`(secret: String) async throws {
        await #expect { _ = try await verifier(TokenConfiguration(secrets: [Array(secret.utf8)])) } throws: {
            guard let error = $0 as? EdgeError else { return false }
            return error.code == .weakSecret && (secret.isEmpty || secret == "secret" || !"\(error)".contains(secret))
        }
    }

    @Test func `no key at all stops the start`() async throws {
        await #expect { _ = try await verifier(TokenConfiguration()) } throws: { ($0 as? EdgeError)?.code == .noKeys }
    }
}
