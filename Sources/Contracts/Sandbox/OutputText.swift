internal import FoundationEssentials

/// Bytes of programs in JSON: as text where they are text, else as base64.
package enum OutputText {
    /// UTF-8 without NUL, which no text here may hold, and not mostly control characters, which JSON writes six times
    /// as long; nil otherwise.
    package static func text(_ bytes: some Collection<UInt8>) -> String? {
        var controls = 0
        for byte in bytes where byte < 0x20 {
            if byte == 0 { return nil }
            if byte != 0x09, byte != 0x0A, byte != 0x0D { controls += 1 }
        }
        return controls * 8 > bytes.count ? nil : String(validating: bytes, as: UTF8.self)
    }

    package static func base64(_ bytes: some Sequence<UInt8>) -> String { Data(bytes).base64EncodedString() }

    static func write(_ bytes: [UInt8], text name: String, base64: String, to writer: inout JSONWriter) {
        if let text = text(bytes) { writer.field(name, text) } else { writer.field(base64, self.base64(bytes)) }
    }

    /// Bytes without the part of a character at the cut end, where what is there is UTF-8.
    package static func wholeScalars(_ bytes: some Collection<UInt8>, atEnd: Bool) -> [UInt8] {
        var bytes = Array(bytes)
        if atEnd {
            bytes.removeLast(partialScalar(atEndOf: bytes[...]))
        } else {
            bytes.removeFirst(bytes.prefix(3).prefix { $0 & 0xC0 == 0x80 }.count)
        }
        return bytes
    }

    /// How many bytes at the end begin a character that does not end there: 0 to 3.
    package static func partialScalar(atEndOf bytes: ArraySlice<UInt8>) -> Int {
        for back in 1...3 where back <= bytes.count {
            let byte = bytes[bytes.endIndex - back]
            if byte & 0xC0 == 0x80 { continue }
            let length = byte >= 0xF5 ? 1 : byte >= 0xF0 ? 4 : byte >= 0xE0 ? 3 : byte >= 0xC2 ? 2 : 1
            return length > back ? back : 0
        }
        return 0
    }
}

extension JSONReader {
    /// Bytes that stand as text under one name or as base64 under another; nil when neither is there.
    package mutating func optionalBytes(text: String, base64: String) throws(JSONError) -> [UInt8]? {
        switch (try optionalString(text), try optionalString(base64)) {
        case (let text?, nil): return Array(text.utf8)
        case (nil, let encoded?):
            guard let data = Data(base64Encoded: encoded) else { throw error(base64, "is not base64") }
            return Array(data)
        case (nil, nil): return nil
        case (_?, _?): throw error(base64, "must not come with \(text)")
        }
    }

    package mutating func bytes(text: String, base64: String) throws(JSONError) -> [UInt8] {
        guard let bytes = try optionalBytes(text: text, base64: base64) else {
            throw error(text, "is required, or \(base64)")
        }
        return bytes
    }
}
