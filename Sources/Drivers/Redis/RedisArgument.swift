internal import CHiredis

/// One word of a command. Values are always sent with their length, so no text can become another command.
package enum RedisArgument: Sendable, Hashable, ExpressibleByStringLiteral, ExpressibleByStringInterpolation,
    ExpressibleByIntegerLiteral
{
    case text(String)
    case bytes([UInt8])
    case integer(Int64)

    package init(stringLiteral value: String) { self = .text(value) }
    package init(integerLiteral value: Int64) { self = .integer(value) }
    package init(_ value: some BinaryInteger) { self = .integer(Int64(value)) }

    var encoded: [UInt8] {
        switch self {
        case .text(let text): Array(text.utf8)
        case .bytes(let bytes): bytes
        case .integer(let number): Array(String(number).utf8)
        }
    }
}

/// A command in the bytes of the Redis protocol, made by hiredis.
enum CommandEncoder {
    /// - Throws: `tooLarge` when the command is empty or above `maxBytes`.
    static func encode(_ arguments: [RedisArgument], maxBytes: Int) throws(RedisError) -> [UInt8] {
        precondition(!arguments.isEmpty, "A Redis command has at least its name.")
        let words = arguments.map(\.encoded)
        // The payload alone decides before anything is copied; framing adds at most 16 bytes a word.
        guard words.reduce(0, { $0 + $1.count + 16 }) <= maxBytes else {
            throw RedisError(.tooLarge, "The command is above the bound of \(maxBytes) bytes and was not sent.")
        }
        let lengths = words.map(\.count)
        let flat = words.flatMap { $0 }
        return unsafe flat.withUnsafeBytes { buffer in
            // hiredis never reads through the pointer of an empty word, so any address will do there.
            let base = unsafe buffer.baseAddress ?? UnsafeRawPointer(bitPattern: 1)
            var offset = 0
            var pointers: [UnsafePointer<CChar>?] = unsafe []
            for length in lengths {
                unsafe pointers.append(base?.advanced(by: offset).assumingMemoryBound(to: CChar.self))
                offset += length
            }
            var target: UnsafeMutablePointer<CChar>?
            let count = unsafe redisFormatCommandArgv(&target, Int32(words.count), &pointers, lengths)
            guard count > 0, let target = unsafe target else {
                preconditionFailure("The operating system has no memory for a command of bounded size.")
            }
            defer { unsafe redisFreeCommand(target) }
            return unsafe [UInt8](UnsafeRawBufferPointer(start: target, count: Int(count)))
        }
    }
}
