/// Lower-case hexadecimal digits.
package enum Hexadecimal {
    /// All 16 digits of a word.
    package static func text(_ word: UInt64) -> String {
        let text = (0..<16).map { place in digit(UInt8(truncatingIfNeeded: word >> (60 - 4 * UInt64(place))) & 0xF) }
        return String(decoding: text, as: UTF8.self)
    }

    /// Two digits for each byte.
    package static func text(bytes: some Sequence<UInt8>) -> String {
        var text: [UInt8] = []
        for byte in bytes { append(byte, to: &text) }
        return String(decoding: text, as: UTF8.self)
    }

    /// Appends a byte's two digits.
    static func append(_ byte: UInt8, to text: inout [UInt8]) {
        text.append(digit(byte >> 4))
        text.append(digit(byte & 0xF))
    }

    private static func digit(_ value: UInt8) -> UInt8 {
        value < 10 ? UInt8(ascii: "0") + value : UInt8(ascii: "a") - 10 + value
    }
}
