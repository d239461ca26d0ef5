/// Writes JSON text into one buffer, field by field, with raw JSON passed through unchanged.
package struct JSONWriter {
    package private(set) var bytes: [UInt8] = []
    private var needsComma = false

    /// What most messages fit into, so that writing one allocates once.
    private static let usualBytes = 512

    package init() { bytes.reserveCapacity(Self.usualBytes) }

    /// Writes one object and returns it.
    package static func object(_ body: (inout JSONWriter) -> Void) -> JSON {
        var writer = JSONWriter()
        writer.object(body)
        return writer.json
    }

    /// Writes one array and returns it.
    package static func array(_ body: (inout JSONWriter) -> Void) -> JSON {
        var writer = JSONWriter()
        writer.array(body)
        return writer.json
    }

    /// Writes one string and returns it.
    package static func string(_ value: String) -> JSON {
        var writer = JSONWriter()
        writer.string(value)
        return writer.json
    }

    /// What was written; exactly one value must have been.
    package var json: JSON { JSON(validated: bytes[...]) }

    package mutating func object(_ body: (inout JSONWriter) -> Void) {
        nested(UInt8(ascii: "{"), UInt8(ascii: "}"), body)
    }

    package mutating func array(_ body: (inout JSONWriter) -> Void) {
        nested(UInt8(ascii: "["), UInt8(ascii: "]"), body)
    }

    package mutating func field(_ name: String, _ value: String) {
        key(name)
        string(value)
    }

    package mutating func field(_ name: String, _ value: Int) {
        key(name)
        raw(String(value).utf8)
    }

    /// Writes null for a value JSON has no number for (NaN, infinities).
    package mutating func field(_ name: String, _ value: Double) {
        key(name)
        raw(value.isFinite ? "\(value)".utf8 : "null".utf8)
    }

    package mutating func field(_ name: String, _ value: Bool) {
        key(name)
        raw(value ? "true".utf8 : "false".utf8)
    }

    package mutating func field(_ name: String, _ value: JSON) {
        key(name)
        raw(value.bytes)
    }

    package mutating func field(_ name: String, object body: (inout JSONWriter) -> Void) {
        key(name)
        object(body)
    }

    package mutating func field(_ name: String, array body: (inout JSONWriter) -> Void) {
        key(name)
        array(body)
    }

    package mutating func field(_ name: String, _ values: [String]) {
        key(name)
        array { for value in values { $0.element(value) } }
    }

    /// Leaves the field out when there is no value.
    package mutating func field(ifPresent name: String, _ value: String?) {
        if let value { field(name, value) }
    }

    package mutating func field(ifPresent name: String, _ value: Int?) {
        if let value { field(name, value) }
    }

    package mutating func field(ifPresent name: String, _ value: JSON?) {
        if let value { field(name, value) }
    }

    package mutating func element(_ value: String) {
        comma()
        string(value)
        needsComma = true
    }

    package mutating func element(_ value: Int) {
        comma()
        raw(String(value).utf8)
        needsComma = true
    }

    package mutating func element(_ value: JSON) {
        comma()
        raw(value.bytes)
        needsComma = true
    }

    package mutating func element(object body: (inout JSONWriter) -> Void) {
        comma()
        object(body)
        needsComma = true
    }

    private mutating func nested(_ open: UInt8, _ close: UInt8, _ body: (inout JSONWriter) -> Void) {
        bytes.append(open)
        needsComma = false
        body(&self)
        bytes.append(close)
        needsComma = true
    }

    private mutating func key(_ name: String) {
        comma()
        string(name)
        bytes.append(UInt8(ascii: ":"))
        needsComma = true
    }

    private mutating func comma() {
        if needsComma { bytes.append(UInt8(ascii: ",")) }
        needsComma = false
    }

    private mutating func raw(_ text: some Sequence<UInt8>) { bytes.append(contentsOf: text) }

    mutating func string(_ value: String) {
        var value = value
        bytes.append(UInt8(ascii: "\""))
        value.withUTF8 { text in
            if text.allSatisfy(Self.isPlain) {
                unsafe bytes.append(contentsOf: text)
            } else {
                for byte in text { escaped(byte) }
            }
        }
        bytes.append(UInt8(ascii: "\""))
    }

    private static func isPlain(_ byte: UInt8) -> Bool {
        byte >= 0x20 && byte != UInt8(ascii: "\"") && byte != UInt8(ascii: "\\")
    }

    private mutating func escaped(_ byte: UInt8) {
        switch byte {
        case UInt8(ascii: "\""): raw("\\\"".utf8)
        case UInt8(ascii: "\\"): raw("\\\\".utf8)
        case 0x08: raw("\\b".utf8)
        case 0x09: raw("\\t".utf8)
        case 0x0A: raw("\\n".utf8)
        case 0x0C: raw("\\f".utf8)
        case 0x0D: raw("\\r".utf8)
        case 0x00..<0x20:
            raw("\\u00".utf8)
            Hexadecimal.append(byte, to: &bytes)
        default: bytes.append(byte)
        }
    }
}
