extension JSON {
    /// The canonical form of RFC 8785 (JSON Canonicalization Scheme): equal for equal values however they were written.
    ///
    /// Numbers are rendered as ECMAScript does; those beyond a double's range keep their own text, so that two
    /// different ones never become equal.
    package var canonical: [UInt8] {
        var out: [UInt8] = []
        writeCanonical(into: &out)
        return out
    }

    private func writeCanonical(into out: inout [UInt8]) {
        switch kind {
        case .null, .bool: out.append(contentsOf: bytes)
        case .number: out.append(contentsOf: Self.canonicalNumber(text).utf8)
        case .string where !bytes.contains(UInt8(ascii: "\\")): out.append(contentsOf: bytes)
        case .string: writeString(string ?? "", into: &out)
        case .array:
            out.append(UInt8(ascii: "["))
            for (index, element) in (array ?? []).enumerated() {
                if index > 0 { out.append(UInt8(ascii: ",")) }
                element.writeCanonical(into: &out)
            }
            out.append(UInt8(ascii: "]"))
        case .object:
            out.append(UInt8(ascii: "{"))
            let sorted = (fields ?? []).sorted { $0.name.utf16.lexicographicallyPrecedes($1.name.utf16) }
            for (index, field) in sorted.enumerated() {
                if index > 0 { out.append(UInt8(ascii: ",")) }
                writeString(field.name, into: &out)
                out.append(UInt8(ascii: ":"))
                field.value.writeCanonical(into: &out)
            }
            out.append(UInt8(ascii: "}"))
        }
    }

    private func writeString(_ value: String, into out: inout [UInt8]) {
        var writer = JSONWriter()
        writer.string(value)
        out.append(contentsOf: writer.bytes)
    }

    /// ECMAScript's Number::toString, from Swift's shortest round-trip digits.
    static func canonicalNumber(_ text: String) -> String {
        guard let value = Double(text), value.isFinite else { return text }
        if value == 0 { return "0" }
        if let whole = Int(exactly: value), whole.magnitude < 1 << 53 { return String(whole) }
        let (digits, exponent) = shortestDigits(of: abs(value))
        let sign = value < 0 ? "-" : ""
        let count = digits.count
        switch exponent {
        case count...21: return sign + digits + String(repeating: "0", count: exponent - count)
        case 1..<max(2, count) where exponent < count:
            return sign + digits.prefix(exponent) + "." + digits.dropFirst(exponent)
        case -5...0: return sign + "0." + String(repeating: "0", count: -exponent) + digits
        default:
            let power = exponent - 1
            let mantissa = count == 1 ? digits : "\(digits.prefix(1)).\(digits.dropFirst())"
            return "\(sign)\(mantissa)e\(power < 0 ? "-" : "+")\(abs(power))"
        }
    }

    /// `value = 0.digits × 10^exponent`, digits without zeros at either end.
    private static func shortestDigits(of value: Double) -> (digits: String, exponent: Int) {
        let parts = "\(value)".lowercased().split(separator: "e")
        let power = parts.count > 1 ? Int(parts[1]) ?? 0 : 0
        let halves = parts[0].split(separator: ".", omittingEmptySubsequences: false)
        let whole = String(halves[0])
        let fraction = halves.count > 1 ? String(halves[1]) : ""
        let all = whole + fraction
        let leading = all.prefix { $0 == "0" }.count
        var digits = String(all.dropFirst(leading))
        while digits.last == "0" { digits.removeLast() }
        return (digits, whole.count + power - leading)
    }
}
