/// Decimal numbers as whole counts of their last place: what is decided with them is exact.
package enum FixedPoint {
    /// `12345` with 4 places is `1.2345`; zeros at the end are left out.
    package static func text(_ count: Int, places: Int) -> String {
        var digits = Array(String(count.magnitude))
        while digits.count <= places { digits.insert("0", at: 0) }
        var fraction = digits.suffix(places)
        while fraction.last == "0" { fraction.removeLast() }
        let text = String(digits.dropLast(places)) + (fraction.isEmpty ? "" : "." + String(fraction))
        return count < 0 ? "-" + text : text
    }

    /// Nil unless `text` is a decimal number of at most `places` places and nine digits before them, without sign or
    /// exponent.
    package static func count(_ text: String, places: Int) -> Int? {
        let parts = text.split(separator: ".", maxSplits: 1, omittingEmptySubsequences: false)
        let fraction = parts.count > 1 ? parts[1] : ""
        guard let whole = parts.first, (1...9).contains(whole.utf8.count), fraction.utf8.count <= places,
            parts.count == 1 || !fraction.isEmpty, (whole + fraction).utf8.allSatisfy({ (48...57).contains($0) })
        else { return nil }
        return Int(whole + fraction + String(repeating: "0", count: places - fraction.utf8.count))
    }
}

extension JSONWriter {
    /// A decimal number, written exactly.
    package mutating func field(_ name: String, decimal text: String) {
        field(name, JSON(validated: Array(text.utf8)[...]))
    }
}
