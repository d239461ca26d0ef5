/// What the server answered. An error reply is thrown as `RedisError.server`, also when it stands inside an array.
package enum RedisReply: Sendable, Hashable {
    case integer(Int64)
    case bytes([UInt8])
    case status(String)
    indirect case array([RedisReply])
    case null

    /// The number of an integer reply; nil for every other kind.
    package var integer: Int64? {
        if case .integer(let number) = self { number } else { nil }
    }

    /// The bytes of a string reply; nil for every other kind.
    package var bytes: [UInt8]? {
        if case .bytes(let bytes) = self { bytes } else { nil }
    }

    /// A string or status reply as UTF-8 text; nil for every other kind.
    package var text: String? {
        switch self {
        case .bytes(let bytes): String(decoding: bytes, as: UTF8.self)
        case .status(let text): text
        case .integer, .array, .null: nil
        }
    }

    /// The elements of an array reply; nil for every other kind.
    package var array: [RedisReply]? {
        if case .array(let elements) = self { elements } else { nil }
    }
}
