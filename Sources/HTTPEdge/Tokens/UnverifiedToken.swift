internal import Contracts

/// A token taken apart, nothing in it believed yet.
struct UnverifiedToken {
    let algorithm: String
    let keyID: String?
    let claims: JSON
    /// What the signature covers.
    let signed: ArraySlice<UInt8>
    let signature: [UInt8]

    init(_ token: [UInt8]) throws(Problem) {
        let parts = token.split(separator: UInt8(ascii: "."), omittingEmptySubsequences: false)
        guard parts.count == 3, let header = Base64URL.decode(parts[0]), let payload = Base64URL.decode(parts[1]),
            let signature = Base64URL.decode(parts[2])
        else { throw Self.malformed("It is not three parts of base64url.") }
        do {
            var fields = try JSONReader(JSON(parsing: header))
            algorithm = try fields.string("alg")
            keyID = try fields.optionalString("kid")
            // RFC 7515, section 4.1.11: extensions that are not understood must be refused.
            if fields.optional("crit") != nil { throw JSONError(.wrongShape, path: "crit", "is not supported") }
            claims = try JSON(parsing: payload)
        } catch {
            throw Self.malformed("Its header or payload is not the JSON it should be.")
        }
        signed = token[token.startIndex..<parts[2].startIndex].dropLast()
        self.signature = signature
    }

    static func malformed(_ what: String) -> Problem { Problem(.tokenMalformed, "The token is not a JWT. \(what)") }
}
