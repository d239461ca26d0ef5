internal import Contracts
internal import FoundationEssentials
internal import JWTKit

/// The keys that may verify a token. Each is good for one algorithm only, whatever a token's header says.
struct TokenKeys: Sendable {
    static let fileBytesMax = 256 * 1024
    static let keysMax = 64

    struct Key: Sendable {
        /// Nil for the HS256 secrets, which tokens do not name.
        let id: String?
        let algorithm: any JWTAlgorithm
    }

    let keys: [Key]

    /// The keys a header could mean: those named `id`, or, when it names none, all without a name, else the only one.
    func candidates(id: String?, algorithm: String) -> Candidates {
        let named = keys.filter { $0.id == id }
        let meant = named.isEmpty && id == nil ? Array(keys.filter { $0.algorithm.name == algorithm }) : named
        if meant.isEmpty || (id == nil && named.isEmpty && meant.count > 1) { return .unknownKey }
        let usable = meant.filter { $0.algorithm.name == algorithm }
        return usable.isEmpty ? .otherAlgorithm : .keys(usable)
    }

    enum Candidates {
        case keys([Key])
        case unknownKey
        case otherAlgorithm
    }

    /// - Throws: when the file cannot be read or any of its keys cannot be used; nothing is taken from it then.
    static func load(_ configuration: TokenConfiguration) async throws(EdgeError) -> TokenKeys {
        var keys: [Key] = []
        do {
            for secret in configuration.secrets {
                let collection = await JWTKeyCollection().add(hmac: HMACKey(from: secret), digestAlgorithm: .sha256)
                keys.append(Key(id: nil, algorithm: try await collection.getKey()))
            }
            if let file = configuration.keySetFile { keys += try await keySet(file: file) }
        } catch let error as EdgeError {
            throw error
        } catch {
            throw EdgeError(.badKeys, "A key could not be made ready for verifying tokens.", underlying: error)
        }
        return TokenKeys(keys: keys)
    }

    private static func keySet(file: String) async throws -> [Key] {
        let data: Data
        do {
            data = try Data(contentsOf: URL(filePath: file))
        } catch {
            throw EdgeError(.badKeys, "The JWKS file \(file) cannot be read.", underlying: error)
        }
        guard data.count <= fileBytesMax else { throw bad("is larger than \(fileBytesMax) bytes") }
        do {
            var set = try JSONReader(JSON(parsing: data))
            let entries = try set.optionalArray("keys") ?? []
            guard (1...keysMax).contains(entries.count) else { throw bad("must hold 1 to \(keysMax) keys") }
            var keys: [Key] = []
            for entry in entries {
                let key = try await self.key(from: entry)
                if keys.contains(where: { $0.id == key.id }) { throw bad("names a key twice") }
                keys.append(key)
            }
            return keys
        } catch let error as JSONError {
            throw EdgeError(.badKeys, "The JWKS file \(file) is not a JWK set.", underlying: error)
        }
    }

    static func key(from entry: JSON) async throws -> Key {
        var fields = try JSONReader(entry)
        let id = try fields.bounded("kid", bytesMax: 256)
        let type = try fields.string("kty")
        let curve = try fields.optionalString("crv")
        if fields.optional("d") != nil || fields.optional("k") != nil { throw bad("holds a private key (\(id))") }
        if let use = try fields.optionalString("use"), use != "sig" { throw bad("holds a key for \(use) (\(id))") }
        let algorithm: JWK.Algorithm
        switch (type, curve) {
        case ("RSA", _): algorithm = .rs256
        case ("EC", "P-256"): algorithm = .es256
        case ("OKP", "Ed25519"): algorithm = .eddsa
        default: throw bad("holds a key of an unsupported type (\(id))")
        }
        if let named = try fields.optionalString("alg"), named != algorithm.rawValue {
            throw bad("holds a key for \(named), which this build does not accept (\(id))")
        }
        var jwk = try JWK(json: entry.text)
        jwk.algorithm = algorithm
        let collection = try await JWTKeyCollection().add(jwk: jwk)
        return Key(
            id: id, algorithm: try await collection.getKey(for: JWKIdentifier(string: id), alg: algorithm.rawValue))
    }

    private static func bad(_ what: String) -> EdgeError { EdgeError(.badKeys, "The JWKS file \(what).") }
}
