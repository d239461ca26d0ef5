/// Checks one JSON text (RFC 8259) in a single pass, without building a tree.
///
/// Stricter than the grammar where a lenient reader would be a hazard: duplicate names, U+0000 in strings, lone
/// surrogates, invalid UTF-8 and nesting beyond `maxDepth` are refused. It exists beside Foundation's decoder because
/// tenants' input is kept byte for byte, and because untrusted nesting and duplicate names need a bound there.
package struct JSONScanner {
    /// The deepest nesting accepted.
    package static let maxDepth = 64

    let bytes: ArraySlice<UInt8>
    var index: Int

    init(_ bytes: ArraySlice<UInt8>) {
        self.bytes = bytes
        index = bytes.startIndex
    }

    /// Throws unless `bytes` is exactly one valid JSON value, white space around it allowed.
    package static func validate(_ bytes: ArraySlice<UInt8>) throws(JSONError) {
        var scanner = JSONScanner(bytes)
        scanner.skipSpace()
        try scanner.value(depth: 0)
        scanner.skipSpace()
        if scanner.index != bytes.endIndex { throw scanner.malformed("text after the end of the value") }
    }

    func malformed(_ what: String) -> JSONError {
        JSONError(.malformed, "Not valid JSON at byte \(index - bytes.startIndex): \(what).")
    }

    var current: UInt8? { index < bytes.endIndex ? bytes[index] : nil }

    mutating func skipSpace() {
        while index < bytes.endIndex {
            switch bytes[index] {
            case 0x20, 0x09, 0x0A, 0x0D: index += 1
            default: return
            }
        }
    }

    /// Moves past one value that starts at `index`.
    mutating func value(depth: Int) throws(JSONError) {
        if depth > Self.maxDepth {
            throw JSONError(.tooDeep, "Nested deeper than \(Self.maxDepth) levels.")
        }
        switch current {
        case UInt8(ascii: "{"): try object(depth: depth)
        case UInt8(ascii: "["): try array(depth: depth)
        case UInt8(ascii: "\""): try string()
        case UInt8(ascii: "t"): try literal("true")
        case UInt8(ascii: "f"): try literal("false")
        case UInt8(ascii: "n"): try literal("null")
        case .some(let byte) where byte == UInt8(ascii: "-") || isDigit(byte): try number()
        case .some: throw malformed("expected a value")
        case nil: throw malformed("the text ends where a value should be")
        }
    }

    private mutating func object(depth: Int) throws(JSONError) {
        index += 1
        var names = FieldNames()
        skipSpace()
        if current == UInt8(ascii: "}") {
            index += 1
            return
        }
        while true {
            skipSpace()
            guard current == UInt8(ascii: "\"") else { throw malformed("expected a field name in quotes") }
            let start = index
            try string()
            // Names are compared after unescaping; only escaped ones pay for that.
            let raw = bytes[(start + 1)..<(index - 1)]
            let name = raw.contains(UInt8(ascii: "\\")) ? Array(JSON.unescape(raw).utf8)[...] : raw
            if !names.insert(name) {
                throw JSONError(.duplicateKey, "The field \"\(String(decoding: name, as: UTF8.self))\" stands twice.")
            }
            skipSpace()
            guard current == UInt8(ascii: ":") else { throw malformed("expected ':' after a field name") }
            index += 1
            skipSpace()
            try value(depth: depth + 1)
            skipSpace()
            if try closes(with: UInt8(ascii: "}")) { return }
        }
    }

    private mutating func array(depth: Int) throws(JSONError) {
        index += 1
        skipSpace()
        if current == UInt8(ascii: "]") {
            index += 1
            return
        }
        while true {
            skipSpace()
            try value(depth: depth + 1)
            skipSpace()
            if try closes(with: UInt8(ascii: "]")) { return }
        }
    }

    private mutating func closes(with end: UInt8) throws(JSONError) -> Bool {
        guard let byte = current else { throw malformed("the text ends inside a value") }
        guard byte == end || byte == UInt8(ascii: ",") else { throw malformed("expected ',' or the closing bracket") }
        index += 1
        return byte == end
    }

    private mutating func literal(_ word: StaticString) throws(JSONError) {
        let count = word.utf8CodeUnitCount
        let matches = word.withUTF8Buffer { bytes[index...].prefix(count).elementsEqual($0) }
        guard matches else { throw malformed("expected a value") }
        index += count
    }

    private mutating func number() throws(JSONError) {
        if current == UInt8(ascii: "-") { index += 1 }
        if current == UInt8(ascii: "0") {
            index += 1
        } else {
            try digits()
        }
        if current == UInt8(ascii: ".") {
            index += 1
            try digits()
        }
        if current == UInt8(ascii: "e") || current == UInt8(ascii: "E") {
            index += 1
            if current == UInt8(ascii: "+") || current == UInt8(ascii: "-") { index += 1 }
            try digits()
        }
    }

    private mutating func digits() throws(JSONError) {
        guard let byte = current, isDigit(byte) else { throw malformed("expected a digit") }
        while let byte = current, isDigit(byte) { index += 1 }
    }

    private func isDigit(_ byte: UInt8) -> Bool { byte >= UInt8(ascii: "0") && byte <= UInt8(ascii: "9") }
}

/// The names seen in one object: a few are compared one by one, more are hashed.
private struct FieldNames {
    private static let fewMax = 8

    private var few: [ArraySlice<UInt8>] = []
    private var many: Set<ArraySlice<UInt8>> = []

    /// False when the name stands there already.
    mutating func insert(_ name: ArraySlice<UInt8>) -> Bool {
        if many.isEmpty, few.count < Self.fewMax {
            if few.contains(name) { return false }
            few.append(name)
            return true
        }
        if many.isEmpty { many = Set(few) }
        return many.insert(name).inserted
    }
}
