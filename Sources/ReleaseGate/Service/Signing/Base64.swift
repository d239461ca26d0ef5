internal import FoundationEssentials

/// Base64 with padding (RFC 4648, section 4), decoded strictly: one text per value, so that no letter of a signed file
/// can be changed without notice.
enum Base64 {
    static func encode(_ bytes: [UInt8]) -> String { Data(bytes).base64EncodedString() }

    static func decode(_ text: String) -> [UInt8]? {
        guard let bytes = Data(base64Encoded: text).map(Array.init), encode(bytes) == text else { return nil }
        return bytes
    }
}
