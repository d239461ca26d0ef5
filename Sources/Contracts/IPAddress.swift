/// An IPv4 or IPv6 address: 4 or 16 bytes.
package struct IPAddress: Sendable, Hashable, CustomStringConvertible {
    package let bytes: [UInt8]

    /// Nil unless there are 4 or 16.
    package init?(bytes: [UInt8]) {
        guard bytes.count == 4 || bytes.count == 16 else { return nil }
        self.bytes = bytes
    }

    /// Four decimal numbers without leading zeros, or RFC 4291's forms; no zone, no brackets.
    package init?(_ text: some StringProtocol) {
        guard text.utf8.count <= 45 else { return nil }
        guard let bytes = text.contains(":") ? Self.version6(String(text)) : Self.version4(String(text)) else {
            return nil
        }
        self.bytes = bytes
    }

    package var isIPv6: Bool { bytes.count == 16 }

    /// An IPv4 address that is written as an IPv6 one (`::ffff:1.2.3.4`) as what it is; any other as it stands.
    package var unmapped: IPAddress {
        starts(with: Self.mapped, bits: 96) ? IPAddress(bytes: Array(bytes[12...])) ?? self : self
    }

    /// RFC 4291, section 2.5.5.2.
    private static let mapped: [UInt8] = [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xFF, 0xFF, 0, 0, 0, 0]

    package var description: String {
        if !isIPv6 { return bytes.map(String.init).joined(separator: ".") }
        return stride(from: 0, to: 16, by: 2).map { String(Int(bytes[$0]) << 8 | Int(bytes[$0 + 1]), radix: 16) }
            .joined(separator: ":")
    }

    /// Whether the first bits are those of `prefix`.
    func starts(with prefix: [UInt8], bits: Int) -> Bool {
        guard prefix.count == bytes.count, bits <= bytes.count * 8 else { return false }
        let whole = bits / 8
        guard bytes[..<whole] == prefix[..<whole] else { return false }
        if bits % 8 == 0 { return true }
        let mask = UInt8(truncatingIfNeeded: 0xFF00 >> (bits % 8))
        return bytes[whole] & mask == prefix[whole] & mask
    }

    private static func version4(_ text: String) -> [UInt8]? {
        let parts = text.split(separator: ".", omittingEmptySubsequences: false)
        guard parts.count == 4 else { return nil }
        var bytes: [UInt8] = []
        for part in parts {
            guard part.utf8.allSatisfy({ (UInt8(ascii: "0")...UInt8(ascii: "9")).contains($0) }),
                part == "0" || !part.hasPrefix("0"), let byte = UInt8(part)
            else { return nil }
            bytes.append(byte)
        }
        return bytes
    }

    private static func version6(_ text: String) -> [UInt8]? {
        guard let gap = text.firstRange(of: "::") else {
            guard let all = groups(text), all.count == 16 else { return nil }
            return all
        }
        guard let front = groups(String(text[..<gap.lowerBound])), let back = groups(String(text[gap.upperBound...])),
            front.count + back.count <= 14, front.isEmpty || !text[..<gap.lowerBound].contains(".")
        else { return nil }
        return front + [UInt8](repeating: 0, count: 16 - front.count - back.count) + back
    }

    /// The bytes of groups between colons; the last may be an IPv4 address.
    private static func groups(_ text: String) -> [UInt8]? {
        if text.isEmpty { return [] }
        let parts = text.split(separator: ":", omittingEmptySubsequences: false)
        var bytes: [UInt8] = []
        for (index, part) in parts.enumerated() {
            if index == parts.count - 1, part.contains(".") {
                guard let last = version4(String(part)) else { return nil }
                return bytes + last
            }
            guard (1...4).contains(part.utf8.count), part.utf8.allSatisfy({ hexDigit($0) != nil }),
                let group = UInt16(part, radix: 16)
            else { return nil }
            bytes += [UInt8(group >> 8), UInt8(group & 0xFF)]
        }
        return bytes
    }
}
