/// One thing that is released, by name and by the SHA-256 of its bytes.
package struct ArtifactDigest: Sendable, Hashable, Codable {
    /// `chart`, an image's repository without its tag, `manifests`.
    package let name: String
    /// 64 lower-case hexadecimal digits.
    package let sha256: String

    /// Nil unless `sha256` is a digest as above (a leading `sha256:` is taken off) and the name is not empty.
    package init?(name: String, sha256: String) {
        let hex = sha256.hasPrefix("sha256:") ? String(sha256.dropFirst(7)) : sha256
        guard !name.isEmpty, Digest(hexadecimal: hex) != nil else { return nil }
        self.name = name
        self.sha256 = hex
    }

    /// The names of what is not the same on both sides, sorted.
    package static func differing(_ left: [Self], _ right: [Self]) -> [String] {
        Set(Set(left).symmetricDifference(right).map(\.name)).sorted()
    }

    package init(from decoder: any Decoder) throws {
        let fields = try decoder.container(keyedBy: CodingKeys.self)
        let name = try fields.decode(String.self, forKey: .name)
        let sha256 = try fields.decode(String.self, forKey: .sha256)
        guard let digest = Self(name: name, sha256: sha256) else {
            throw DecodingError.dataCorruptedError(
                forKey: .sha256, in: fields, debugDescription: "an artifact has a name and a SHA-256 in hexadecimal")
        }
        self = digest
    }
}
