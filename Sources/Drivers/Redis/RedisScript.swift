internal import COpenSSL

/// A Lua script and the SHA-1 by which Redis knows it.
package struct RedisScript: Sendable, Hashable {
    package let source: String
    /// Forty lower-case hexadecimal digits.
    package let digest: String

    package init(_ source: String) {
        self.source = source
        let text = Array(source.utf8)
        var digest = [UInt8](repeating: 0, count: 20)
        var length: UInt32 = 0
        let code = unsafe EVP_Digest(text, text.count, &digest, &length, EVP_sha1(), nil)
        precondition(code == 1 && length == 20, "This OpenSSL has no SHA-1, which Redis needs to name scripts.")
        self.digest = digest.map { byte in
            let digits = String(byte, radix: 16)
            return byte < 16 ? "0" + digits : digits
        }.joined()
    }
}
