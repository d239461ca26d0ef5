package import Contracts
internal import FoundationEssentials

/// The one byte form of a value that is hashed, stored and compared: RFC 8785 over its JSON.
package enum Canonical {
    package static func bytes(_ value: some Encodable) throws -> [UInt8] {
        try JSON(parsing: JSONEncoder().encode(value)).canonical
    }

    package static func json(_ value: some Encodable) throws -> JSON { try JSON(parsing: bytes(value)) }

    package static func digest(_ value: some Encodable) throws -> Digest { Digest(of: try bytes(value)) }

    /// Reads what `bytes` wrote; unknown fields are ignored.
    package static func decode<Value: Decodable>(_ type: Value.Type, from bytes: some Sequence<UInt8>) throws -> Value {
        try JSONDecoder().decode(type, from: Data(bytes))
    }
}
