internal import FoundationEssentials
internal import JWTKit

extension SigningKeyring {
    /// The key for a token that says it was issued here; nil when it says no such thing.
    /// - Throws: a 401 problem when there is no such key or it is for another algorithm; 503 when that cannot be known.
    func keys(for token: UnverifiedToken, now: Date) async throws(Problem) -> [TokenKeys.Key]? {
        guard let id = token.keyID, SigningKey.isID(id) else { return nil }
        let key: TokenKeys.Key?
        do {
            key = try await verifier(id, now: now)
        } catch {
            throw Problem(.unavailable, "The keys that verify tokens cannot be read; try again.", retryAfterSeconds: 1)
        }
        guard let key else {
            throw Problem(.tokenUnknownKey, "The token was signed with a key this API does not know.")
        }
        guard key.algorithm.name == token.algorithm else {
            throw Problem(.tokenAlgorithm, "The token's algorithm is not the one its key is for.")
        }
        return [key]
    }
}
