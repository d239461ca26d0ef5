internal import Contracts
internal import Crypto

/// A SHA-256 hash. Computed here because it is a pure function; signing, which needs keys, is the service's.
package struct Digest: Sendable, Hashable {
    package static let byteCount = 32

    package let bytes: [UInt8]

    package init(of data: some Sequence<UInt8>) {
        bytes = Array(SHA256.hash(data: Array(data)))
    }

    /// A hash that was computed elsewhere; nil unless it has 32 bytes.
    package init?(bytes: [UInt8]) {
        guard bytes.count == Self.byteCount else { return nil }
        self.bytes = bytes
    }

    /// Nil unless `text` is 64 lower-case hexadecimal digits.
    package init?(hexadecimal text: some StringProtocol) {
        let digits = text.utf8.compactMap(Self.value)
        guard digits.count == 2 * Self.byteCount, text.utf8.count == digits.count else { return nil }
        bytes = stride(from: 0, to: digits.count, by: 2).map { digits[$0] << 4 | digits[$0 + 1] }
    }

    package var hexadecimal: String { Hexadecimal.text(bytes: bytes) }

    private static func value(_ digit: UInt8) -> UInt8? {
        switch digit {
        case UInt8(ascii: "0")...UInt8(ascii: "9"): digit - UInt8(ascii: "0")
        case UInt8(ascii: "a")...UInt8(ascii: "f"): digit - UInt8(ascii: "a") + 10
        default: nil
        }
    }
}
