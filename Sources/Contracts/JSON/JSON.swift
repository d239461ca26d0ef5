/// One validated JSON value, kept as the bytes it came in: what a tenant or an agent sent passes through unchanged.
///
/// Reading is lazy: `object()` and `array()` split one level, nothing below is touched until asked for.
package struct JSON: Sendable, Equatable {
    package enum Kind: String, Sendable { case object, array, string, number, bool, null }

    /// The value's own bytes, without white space around it.
    package let bytes: ArraySlice<UInt8>

    /// Trusts the caller that `bytes` holds exactly one valid value.
    init(validated bytes: ArraySlice<UInt8>) {
        self.bytes = bytes
    }

    /// Parses untrusted bytes.
    package init(parsing bytes: some Sequence<UInt8>) throws(JSONError) {
        let bytes = Array(bytes)[...]
        try JSONScanner.validate(bytes)
        self.bytes = bytes.trimmingJSONSpace()
    }

    package static let null = JSON(validated: Array("null".utf8)[...])
    package static let emptyObject = JSON(validated: Array("{}".utf8)[...])

    package var kind: Kind {
        switch bytes.first {
        case UInt8(ascii: "{"): .object
        case UInt8(ascii: "["): .array
        case UInt8(ascii: "\""): .string
        case UInt8(ascii: "t"), UInt8(ascii: "f"): .bool
        case UInt8(ascii: "n"): .null
        default: .number
        }
    }

    package var text: String { String(decoding: bytes, as: UTF8.self) }

    /// The unescaped text of a string value, or nil for another kind.
    package var string: String? {
        guard kind == .string else { return nil }
        let inner = bytes.dropFirst().dropLast()
        return inner.contains(UInt8(ascii: "\\")) ? Self.unescape(inner) : String(decoding: inner, as: UTF8.self)
    }

    package var bool: Bool? { kind == .bool ? bytes.first == UInt8(ascii: "t") : nil }

    /// An integer written without fraction or exponent that fits 64 bits, or nil.
    package var int: Int? { kind == .number ? Int(text) : nil }

    package var double: Double? { kind == .number ? Double(text) : nil }

    /// The elements of an array, or nil for another kind.
    package var array: [JSON]? {
        guard kind == .array else { return nil }
        var elements: [JSON] = []
        splitChildren { _, value in elements.append(value) }
        return elements
    }

    /// The fields of an object in their order, or nil for another kind.
    package var fields: [(name: String, value: JSON)]? {
        guard kind == .object else { return nil }
        var fields: [(name: String, value: JSON)] = []
        fields.reserveCapacity(8)
        splitChildren { name, value in fields.append((name?.string ?? "", value)) }
        return fields
    }

    /// Walks one level of valid JSON: finds each child's end by brackets and quotes alone.
    private func splitChildren(_ visit: (_ name: JSON?, _ value: JSON) -> Void) {
        let span = bytes.span
        let first = bytes.startIndex
        var index = 1
        let end = span.count - 1
        let named = kind == .object
        while let start = Self.nextToken(in: span, from: index, before: end) {
            var name: JSON?
            var valueStart = start
            if named {
                let nameEnd = Self.valueEnd(in: span, from: start, before: end)
                name = JSON(validated: bytes[(first + start)..<(first + nameEnd)])
                guard let found = Self.nextToken(in: span, from: nameEnd, before: end) else { return }
                valueStart = found
            }
            index = Self.valueEnd(in: span, from: valueStart, before: end)
            visit(name, JSON(validated: bytes[(first + valueStart)..<(first + index)]))
        }
    }

    /// The first byte at or after `index` that is neither white space nor a separator.
    private static func nextToken(in bytes: Span<UInt8>, from index: Int, before end: Int) -> Int? {
        var index = index
        while index < end {
            switch bytes[index] {
            case 0x20, 0x09, 0x0A, 0x0D, UInt8(ascii: ","), UInt8(ascii: ":"): index += 1
            default: return index
            }
        }
        return nil
    }

    private static func valueEnd(in bytes: Span<UInt8>, from start: Int, before end: Int) -> Int {
        var index = start
        var depth = 0
        while index < end {
            switch bytes[index] {
            case UInt8(ascii: "\""):
                index = stringEnd(in: bytes, from: index)
                if depth == 0 { return index }
                continue
            case UInt8(ascii: "{"), UInt8(ascii: "["): depth += 1
            case UInt8(ascii: "}"), UInt8(ascii: "]"):
                depth -= 1
                if depth == 0 { return index + 1 }
            case UInt8(ascii: ","), UInt8(ascii: ":"), 0x20, 0x09, 0x0A, 0x0D:
                if depth == 0 { return index }
            default: break
            }
            index += 1
        }
        return end
    }

    private static func stringEnd(in bytes: Span<UInt8>, from start: Int) -> Int {
        var index = start + 1
        while bytes[index] != UInt8(ascii: "\"") { index += bytes[index] == UInt8(ascii: "\\") ? 2 : 1 }
        return index + 1
    }

    package static func == (left: JSON, right: JSON) -> Bool { left.bytes.elementsEqual(right.bytes) }

    /// The text of a valid string's inside.
    static func unescape(_ raw: ArraySlice<UInt8>) -> String {
        var units: [UInt8] = []
        units.reserveCapacity(raw.count)
        var index = raw.startIndex
        while index < raw.endIndex {
            guard raw[index] == UInt8(ascii: "\\") else {
                units.append(raw[index])
                index += 1
                continue
            }
            let letter = raw[index + 1]
            index += 2
            guard letter == UInt8(ascii: "u") else {
                units.append(simpleEscape(letter))
                continue
            }
            var scalar = hexValue(raw[index..<(index + 4)])
            index += 4
            if (0xD800...0xDBFF).contains(scalar) {
                let low = hexValue(raw[(index + 2)..<(index + 6)])
                scalar = 0x10000 + (scalar - 0xD800) << 10 + (low - 0xDC00)
                index += 6
            }
            if let scalar = Unicode.Scalar(scalar) { units.append(contentsOf: Array(String(Character(scalar)).utf8)) }
        }
        return String(decoding: units, as: UTF8.self)
    }

    private static func simpleEscape(_ letter: UInt8) -> UInt8 {
        switch letter {
        case UInt8(ascii: "b"): 0x08
        case UInt8(ascii: "f"): 0x0C
        case UInt8(ascii: "n"): 0x0A
        case UInt8(ascii: "r"): 0x0D
        case UInt8(ascii: "t"): 0x09
        default: letter
        }
    }

    private static func hexValue(_ digits: ArraySlice<UInt8>) -> UInt32 {
        digits.reduce(0) { $0 << 4 | UInt32(hexDigit($1) ?? 0) }
    }
}

extension ArraySlice<UInt8> {
    fileprivate func trimmingJSONSpace() -> ArraySlice<UInt8> {
        let isSpace: (UInt8) -> Bool = { $0 == 0x20 || (0x09...0x0A).contains($0) || $0 == 0x0D }
        var slice = drop(while: isSpace)
        while let last = slice.last, isSpace(last) { slice.removeLast() }
        return slice
    }
}
