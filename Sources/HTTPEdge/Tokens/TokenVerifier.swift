package import Contracts
internal import Crypto
package import FoundationEssentials
internal import JWTKit
package import Logging
internal import Synchronization

/// Who made a request, and until when that may be believed.
package struct VerifiedToken: Sendable, Equatable {
    package let principal: Principal
    /// The token's `exp`; long answers end here.
    package let expiresAt: Date
    /// The token's `iat`; nil when it does not say.
    package let issuedAt: Date?

    package init(principal: Principal, expiresAt: Date, issuedAt: Date? = nil) {
        self.principal = principal
        self.expiresAt = expiresAt
        self.issuedAt = issuedAt
    }
}

/// Turns bearer tokens (JWT, RFC 7519) into principals.
///
/// A key verifies one algorithm only; `none`, `jku`, `x5u` and embedded keys are never followed. A verified token is
/// remembered by its SHA-256 until it expires, because verifying one takes longer than the rest of a request.
package final class TokenVerifier: Sendable {
    private let configuration: TokenConfiguration
    private let issued: SigningKeyring?
    let revocations: TokenRevocations?
    private let cache: TokenCache
    private let now: @Sendable () -> Date
    private let logger: Logger
    private let state: Mutex<State>

    private struct State {
        var keys: TokenKeys
        var readAt: Date
    }

    /// Reads the keys.
    /// - Parameters:
    ///   - issued: the installation's own keys, accepted beside the configured ones.
    ///   - revocations: whose tokens are refused though they have not expired.
    /// - Throws: `EdgeError` when a secret is weak, the key file is bad, or there is no key at all.
    package init(
        _ configuration: TokenConfiguration, issued: SigningKeyring? = nil,
        revocations: TokenRevocations? = nil, logger: Logger, now: @escaping @Sendable () -> Date = { Date() }
    ) async throws(EdgeError) {
        try configuration.validate()
        self.configuration = configuration
        self.issued = issued
        self.revocations = revocations
        self.now = now
        self.logger = logger
        cache = TokenCache(max: configuration.cacheMax)
        state = Mutex(State(keys: try await TokenKeys.load(configuration), readAt: now()))
    }

    /// Reads the value of an `Authorization` header.
    /// - Throws: a 401 problem whose code says what is wrong.
    package func verify(authorization: String?) async throws(Problem) -> VerifiedToken {
        guard let authorization else {
            throw Problem(.unauthenticated, "Send a token: Authorization: Bearer <token>.")
        }
        let words = authorization.split(separator: " ", maxSplits: 1)
        guard words.count == 2, words[0].lowercased() == "bearer" else {
            throw Problem(.unauthenticated, "Only bearer tokens are accepted: Authorization: Bearer <token>.")
        }
        return try await verify(token: words[1])
    }

    /// - Throws: a 401 problem whose code says what is wrong.
    package func verify(token: some StringProtocol) async throws(Problem) -> VerifiedToken {
        let bytes = Array(token.utf8)
        guard bytes.count <= configuration.tokenBytesMax else {
            throw Problem(.tokenTooLarge, "A token must not be longer than \(configuration.tokenBytesMax) bytes.")
        }
        let key = SHA256.hash(data: bytes)
        let now = now()
        let known = cache.find(key, now: now).flatMap { counts($0, at: now) ? $0.token : nil }
        let verified = if let known { known } else { try await verify(bytes, key, now) }
        if let revocations, revocations.covers(verified) {
            throw Problem(.tokenRevoked, "The user was disabled or the key revoked after the token was issued.")
        }
        return verified
    }

    /// Whether the key that signed a token is still accepted: one of the installation's own may be retired at any time.
    private func counts(_ entry: TokenCache.Entry, at now: Date) -> Bool {
        guard let issued, let signer = entry.signer else { return true }
        return issued.accepts(signer, at: now)
    }

    private func verify(_ bytes: [UInt8], _ key: SHA256Digest, _ now: Date) async throws(Problem) -> VerifiedToken {
        let unverified = try UnverifiedToken(bytes)
        try verifySignature(unverified, by: try await keys(for: unverified, now: now))
        let claims = try TokenClaims(unverified.claims, configuration, now: now)
        try claims.require()
        let verified = VerifiedToken(
            principal: claims.principal, expiresAt: claims.expiresAt, issuedAt: claims.issuedAt)
        let trusted = min(claims.expiresAt + configuration.leeway, now + configuration.trustInterval)
        let signer = issued == nil ? nil : unverified.keyID.flatMap { SigningKey.isID($0) ? $0 : nil }
        cache.insert(TokenCache.Entry(token: verified, validUntil: trusted, signer: signer), for: key)
        return verified
    }

    private func keys(for token: UnverifiedToken, now: Date) async throws(Problem) -> [TokenKeys.Key] {
        if let issued, let keys = try await issued.keys(for: token, now: now) { return keys }
        await reread(ifOlderThan: configuration.trustInterval, now: now)
        for attempt in 1...2 {
            switch state.withLock({ $0.keys }).candidates(id: token.keyID, algorithm: token.algorithm) {
            case .keys(let keys): return keys
            case .otherAlgorithm: throw Problem(.tokenAlgorithm, "The token's algorithm is not the one its key is for.")
            case .unknownKey: if attempt == 1 { await reread(ifOlderThan: configuration.rereadInterval, now: now) }
            }
        }
        throw Problem(.tokenUnknownKey, "The token was signed with a key this API does not know.")
    }

    /// Reads the key file again. A file that has become unreadable changes nothing.
    private func reread(ifOlderThan age: TimeInterval, now: Date) async {
        guard configuration.keySetFile != nil else { return }
        // The time is set first, so that of many requests at once only one reads.
        let isDue = state.withLock { state in
            guard now.timeIntervalSince(state.readAt) >= age else { return false }
            state.readAt = now
            return true
        }
        guard isDue else { return }
        do throws(EdgeError) {
            let keys = try await TokenKeys.load(configuration)
            state.withLock { $0.keys = keys }
        } catch {
            logger.error("The token keys could not be read again; the old ones stay", metadata: ["error": "\(error)"])
        }
    }

    private func verifySignature(_ token: UnverifiedToken, by keys: [TokenKeys.Key]) throws(Problem) {
        let isGood = keys.contains { key in
            do {
                return try key.algorithm.verify(token.signature, signs: token.signed)
            } catch {
                return false
            }
        }
        if !isGood { throw Problem(.tokenSignature, "The token's signature does not match.") }
    }
}
