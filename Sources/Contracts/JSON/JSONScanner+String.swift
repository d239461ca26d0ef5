extension JSONScanner {
    /// Moves past one string that starts at `index`, checking escapes and UTF-8 on the way.
    mutating func string() throws(JSONError) {
        index += 1
        while index < bytes.endIndex {
            let byte = bytes[index]
            switch byte {
            case UInt8(ascii: "\""):
                index += 1
                return
            case UInt8(ascii: "\\"): try escape()
            case 0x00..<0x20:
                if byte == 0 { throw Self.nul }
                throw malformed("a control character inside a string")
            case 0x20..<0x80: index += 1
            default: try multibyte(lead: byte)
            }
        }
        throw malformed("the text ends inside a string")
    }

    private static var nul: JSONError { JSONError(.nulInText, "Text must not contain the NUL character (U+0000).") }

    private mutating func escape() throws(JSONError) {
        index += 1
        switch current {
        case UInt8(ascii: "u"):
            let unit = try hex4()
            if unit == 0 { throw Self.nul }
            if (0xDC00...0xDFFF).contains(unit) { throw loneSurrogate }
            if (0xD800...0xDBFF).contains(unit) {
                guard current == UInt8(ascii: "\\") else { throw loneSurrogate }
                index += 1
                guard current == UInt8(ascii: "u") else { throw loneSurrogate }
                guard (0xDC00...0xDFFF).contains(try hex4()) else { throw loneSurrogate }
            }
        case UInt8(ascii: "\""), UInt8(ascii: "\\"), UInt8(ascii: "/"), UInt8(ascii: "b"), UInt8(ascii: "f"),
            UInt8(ascii: "n"), UInt8(ascii: "r"), UInt8(ascii: "t"):
            index += 1
        default: throw malformed("an unknown escape in a string")
        }
    }

    private var loneSurrogate: JSONError { JSONError(.badUTF8, "A string escapes half of a surrogate pair.") }

    /// Reads `uXXXX`, `index` standing on the `u`.
    private mutating func hex4() throws(JSONError) -> UInt32 {
        index += 1
        var unit: UInt32 = 0
        for _ in 0..<4 {
            guard let digit = current.flatMap(hexDigit) else { throw malformed("expected four hex digits") }
            unit = unit << 4 | UInt32(digit)
            index += 1
        }
        return unit
    }

    /// Well-formed byte sequences as in the Unicode Standard, table 3-7.
    private mutating func multibyte(lead: UInt8) throws(JSONError) {
        let first: ClosedRange<UInt8>
        let more: Int
        switch lead {
        case 0xC2...0xDF: (first, more) = (0x80...0xBF, 0)
        case 0xE0: (first, more) = (0xA0...0xBF, 1)
        case 0xE1...0xEC, 0xEE...0xEF: (first, more) = (0x80...0xBF, 1)
        case 0xED: (first, more) = (0x80...0x9F, 1)
        case 0xF0: (first, more) = (0x90...0xBF, 2)
        case 0xF1...0xF3: (first, more) = (0x80...0xBF, 2)
        case 0xF4: (first, more) = (0x80...0x8F, 2)
        default: throw badUTF8
        }
        index += 1
        guard let second = current, first.contains(second) else { throw badUTF8 }
        index += 1
        for _ in 0..<more {
            guard let next = current, (0x80...0xBF).contains(next) else { throw badUTF8 }
            index += 1
        }
    }

    private var badUTF8: JSONError {
        JSONError(.badUTF8, "The text is not UTF-8 at byte \(index - bytes.startIndex).")
    }
}

func hexDigit(_ byte: UInt8) -> UInt8? {
    switch byte {
    case UInt8(ascii: "0")...UInt8(ascii: "9"): byte - UInt8(ascii: "0")
    case UInt8(ascii: "a")...UInt8(ascii: "f"): byte - UInt8(ascii: "a") + 10
    case UInt8(ascii: "A")...UInt8(ascii: "F"): byte - UInt8(ascii: "A") + 10
    default: nil
    }
}
