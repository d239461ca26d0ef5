/// Builds Redis keys from parts that may hold any character, so that two lists of parts never give the same key.
enum RedisKey {
    /// `parts` joined by colons; a colon, brace, percent sign, space or control character inside a part is written as
    /// `%` and two hexadecimal digits.
    static func join(_ parts: String...) -> String {
        parts.map(escape).joined(separator: ":")
    }

    /// Keeps everything of one `tag` in one slot of a Redis cluster, so that one script may touch it all.
    static func tagged(_ prefix: String, tag: String, _ parts: String...) -> String {
        ([prefix, "{\(escape(tag))}"] + parts.map(escape)).joined(separator: ":")
    }

    /// What a cluster chooses the slot of a `tagged` key by; equal for keys that one script may touch together.
    static func slot(_ key: String) -> Substring { key[...(key.firstIndex(of: "}") ?? key.startIndex)] }

    /// The parts of a key that `join` or `tagged` made, the tag among them; nil when they made no such key.
    static func parts(_ key: String) -> [String]? {
        var parts: [String] = []
        for part in key.split(separator: ":", omittingEmptySubsequences: false) {
            let isTag = part.hasPrefix("{") && part.hasSuffix("}") && part.utf8.count >= 2
            guard let text = unescape(isTag ? part.dropFirst().dropLast() : part) else { return nil }
            parts.append(text)
        }
        return parts
    }

    private static func unescape(_ part: Substring) -> String? {
        if part == "%" { return "" }
        var bytes: [UInt8] = []
        var rest = part.utf8[...]
        while let byte = rest.popFirst() {
            guard byte == UInt8(ascii: "%") else {
                bytes.append(byte)
                continue
            }
            let digits = rest.prefix(2)
            guard digits.count == 2, let value = UInt8(Substring(digits), radix: 16) else { return nil }
            bytes.append(value)
            rest = rest.dropFirst(2)
        }
        return String(validating: bytes, as: UTF8.self)
    }

    static func escape(_ part: String) -> String {
        // The empty part is written too: an empty hash tag would mean no tag at all.
        guard !part.isEmpty else { return "%" }
        if !part.utf8.contains(where: isReserved) { return part }
        var bytes: [UInt8] = []
        for byte in part.utf8 {
            guard isReserved(byte) else {
                bytes.append(byte)
                continue
            }
            let digits = String(byte, radix: 16)
            bytes.append(UInt8(ascii: "%"))
            bytes += (byte < 16 ? "0" + digits : digits).utf8
        }
        return String(decoding: bytes, as: UTF8.self)
    }

    private static func isReserved(_ byte: UInt8) -> Bool {
        switch byte {
        case 0...0x20, 0x7F, UInt8(ascii: ":"), UInt8(ascii: "{"), UInt8(ascii: "}"), UInt8(ascii: "%"): true
        default: false
        }
    }
}
