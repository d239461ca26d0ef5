internal import Crypto
internal import FoundationEssentials

/// The secret that signs what one receiver gets: 256 random bits.
///
/// Source: Standard Webhooks, specification 1.0: `whsec_` and the bytes in base64.
struct WebhookSecret: Sendable {
    static let prefix = "whsec_"
    static let bytesCount = 32

    let bytes: [UInt8]

    /// A new one.
    init() {
        bytes = SymmetricKey(size: SymmetricKeySize(bitCount: Self.bytesCount * 8)).withUnsafeBytes { Array($0) }
    }

    init(bytes: [UInt8]) {
        self.bytes = bytes
    }

    /// As its owner gets it, once.
    var text: String { Self.prefix + Data(bytes).base64EncodedString() }
}

/// The headers that prove to a receiver who sends, and that nothing was changed.
///
/// Source: Standard Webhooks, specification 1.0: HMAC-SHA256 over `<id>.<timestamp>.<body>`, one signature for each
/// secret that is valid now.
enum WebhookSignature {
    static func headers(
        id: String, at now: Date, body: [UInt8], secrets: [WebhookSecret]
    ) -> [(name: String, value: String)] {
        let timestamp = String(Int(now.timeIntervalSince1970))
        let signatures = secrets.map { "v1," + signature(id: id, timestamp: timestamp, body: body, secret: $0) }
        return [
            ("webhook-id", id), ("webhook-timestamp", timestamp),
            ("webhook-signature", signatures.joined(separator: " ")),
        ]
    }

    static func signature(id: String, timestamp: String, body: [UInt8], secret: WebhookSecret) -> String {
        var code = HMAC<SHA256>(key: SymmetricKey(data: secret.bytes))
        code.update(data: Array("\(id).\(timestamp).".utf8))
        code.update(data: body)
        return Data(code.finalize()).base64EncodedString()
    }
}
