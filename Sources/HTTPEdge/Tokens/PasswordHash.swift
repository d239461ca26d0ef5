internal import Crypto
internal import CryptoExtras
internal import FoundationEssentials

/// A password's scrypt hash (RFC 7914) with its parameters, as text: `$scrypt$ln=15,r=8,p=3$<salt>$<hash>`, the last
/// two in base64url.
package struct PasswordHash: Sendable, Equatable {
    /// What one hash costs: 2^`logRounds` × `blockSize` × 128 bytes of memory, `parallelism` times over.
    package struct Parameters: Sendable, Equatable {
        package let logRounds: Int
        package let blockSize: Int
        package let parallelism: Int

        package init(logRounds: Int, blockSize: Int, parallelism: Int) {
            self.logRounds = logRounds
            self.blockSize = blockSize
            self.parallelism = parallelism
        }

        /// Source: OWASP Password Storage Cheat Sheet; 32 MiB, three times over.
        package static let standard = Parameters(logRounds: 15, blockSize: 8, parallelism: 3)

        /// What this build is willing to compute, so that no stored text can ask for hours or for all memory.
        fileprivate var isBearable: Bool {
            (1...18).contains(logRounds) && (1...16).contains(blockSize) && (1...16).contains(parallelism)
                && (1 << logRounds) * blockSize * 128 <= 128 << 20
        }
    }

    static let saltBytes = 16
    static let hashBytes = 32
    static let textBytesMax = 512

    let parameters: Parameters
    let salt: [UInt8]
    let hash: [UInt8]

    /// Nil unless `text` was written by `text`.
    package init?(_ text: String) {
        guard text.utf8.count <= Self.textBytesMax else { return nil }
        let parts = text.split(separator: "$", omittingEmptySubsequences: false)
        guard parts.count == 5, parts[0].isEmpty, parts[1] == "scrypt" else { return nil }
        let numbers = parts[2].split(separator: ",", omittingEmptySubsequences: false)
        guard numbers.count == 3, let rounds = Self.number(numbers[0], "ln="),
            let block = Self.number(numbers[1], "r="),
            let lanes = Self.number(numbers[2], "p="), let salt = Base64URL.decode(parts[3].utf8),
            let hash = Base64URL.decode(parts[4].utf8), (8...64).contains(salt.count), (16...64).contains(hash.count)
        else { return nil }
        parameters = Parameters(logRounds: rounds, blockSize: block, parallelism: lanes)
        guard parameters.isBearable else { return nil }
        self.salt = salt
        self.hash = hash
    }

    /// Hashes a password with a new salt. Takes a good part of a second of CPU: see `PasswordHasher`.
    init(of password: String, parameters: Parameters) throws {
        self.parameters = parameters
        salt = Self.random(Self.saltBytes)
        hash = try Self.derive(password, salt, parameters, count: Self.hashBytes)
    }

    private init(parameters: Parameters, salt: [UInt8], hash: [UInt8]) {
        self.parameters = parameters
        self.salt = salt
        self.hash = hash
    }

    /// Matches no password and costs as much as any: for users that do not exist.
    static func nobody(_ parameters: Parameters) -> PasswordHash {
        PasswordHash(parameters: parameters, salt: random(saltBytes), hash: random(hashBytes))
    }

    package var text: String {
        let numbers = "ln=\(parameters.logRounds),r=\(parameters.blockSize),p=\(parameters.parallelism)"
        return "$scrypt$\(numbers)$\(Base64URL.encode(salt))$\(Base64URL.encode(hash))"
    }

    /// Takes the same time whatever the answer.
    func matches(_ password: String) throws -> Bool {
        Self.isEqual(try Self.derive(password, salt, parameters, count: hash.count), hash)
    }

    private static func derive(
        _ password: String, _ salt: [UInt8], _ parameters: Parameters, count: Int
    ) throws -> [UInt8] {
        let key = try KDF.Scrypt.deriveKey(
            from: Array(password.utf8), salt: salt, outputByteCount: count, rounds: 1 << parameters.logRounds,
            blockSize: parameters.blockSize, parallelism: parameters.parallelism
        )
        return key.withUnsafeBytes { unsafe Array($0) }
    }

    /// Compares without stopping at the first difference.
    package static func isEqual(_ left: [UInt8], _ right: [UInt8]) -> Bool {
        left.count == right.count && zip(left, right).reduce(0) { $0 | ($1.0 ^ $1.1) } == 0
    }

    static func random(_ count: Int) -> [UInt8] {
        var generator = SystemRandomNumberGenerator()
        return (0..<count).map { _ in UInt8.random(in: .min ... .max, using: &generator) }
    }

    private static func number(_ text: Substring, _ prefix: String) -> Int? {
        text.hasPrefix(prefix) ? Int(text.dropFirst(prefix.count)) : nil
    }
}
