internal import CHiredis

/// hiredis' reply parser: fed with bytes as they come, it gives whole replies.
@safe struct ReplyReader: ~Copyable {
    /// A whole reply, which is either a value or an error of the server's.
    typealias Parsed = Result<RedisReply, RedisError>

    private let reader: UnsafeMutablePointer<redisReader>
    private let maxReplyBytes: Int
    private var bytesSinceReply = 0

    init(maxReplyBytes: Int) {
        guard let reader = unsafe redisReaderCreate() else {
            preconditionFailure("The operating system has no memory for a reply parser.")
        }
        unsafe self.reader = unsafe reader
        self.maxReplyBytes = maxReplyBytes
    }

    deinit { unsafe redisReaderFree(reader) }

    /// Appends the first `count` of the received bytes. Take all whole replies with `next()` before feeding more.
    ///
    /// - Throws: `protocolViolation`; the stream is of no use afterwards.
    mutating func feed(_ bytes: [UInt8], count: Int) throws(RedisError) {
        bytesSinceReply += count
        let code = unsafe bytes.withUnsafeBytes { buffer in
            let piece = unsafe UnsafeRawBufferPointer(rebasing: buffer[..<count])
            return unsafe redisReaderFeed(reader, piece.baseAddress?.assumingMemoryBound(to: CChar.self), piece.count)
        }
        guard code == REDIS_OK else { throw violation() }
    }

    /// The next whole reply, or nil when more bytes are needed.
    ///
    /// - Throws: `protocolViolation`, or `tooLarge` when an unfinished reply has passed its bound; the stream is of no
    ///   use afterwards.
    mutating func next() throws(RedisError) -> Parsed? {
        var object: UnsafeMutableRawPointer?
        guard unsafe redisReaderGetReply(reader, &object) == REDIS_OK else { throw violation() }
        guard let object = unsafe object else {
            guard bytesSinceReply <= maxReplyBytes else {
                throw RedisError(
                    .tooLarge, "A reply passed the bound of \(maxReplyBytes) bytes; the connection was dropped."
                )
            }
            return nil
        }
        defer { unsafe freeReplyObject(object) }
        bytesSinceReply = unsafe reader.pointee.len - reader.pointee.pos
        let reply = unsafe object.assumingMemoryBound(to: redisReply.self)
        do throws(RedisError) {
            return .success(try unsafe Self.copy(reply))
        } catch {
            guard case .server = error.code else { throw error }
            return .failure(error)
        }
    }

    // hiredis itself refuses replies nested deeper than seven, which bounds this recursion.
    private static func copy(_ reply: UnsafeMutablePointer<redisReply>) throws(RedisError) -> RedisReply {
        let value = unsafe reply.pointee
        switch unsafe value.type {
        case REDIS_REPLY_INTEGER: return unsafe .integer(value.integer)
        case REDIS_REPLY_STRING: return unsafe .bytes([UInt8](text(value)))
        case REDIS_REPLY_STATUS: return unsafe .status(String(decoding: text(value), as: UTF8.self))
        case REDIS_REPLY_ERROR: throw unsafe RedisError.fromServer(String(decoding: text(value), as: UTF8.self))
        case REDIS_REPLY_NIL: return .null
        case REDIS_REPLY_ARRAY:
            var elements: [RedisReply] = []
            unsafe elements.reserveCapacity(value.elements)
            for index in 0..<(unsafe value.elements) {
                guard let element = unsafe value.element[index] else { continue }
                elements.append(try unsafe copy(element))
            }
            return .array(elements)
        default:
            throw RedisError(.protocolViolation, "Redis sent a reply of an unknown kind; the connection was dropped.")
        }
    }

    private static func text(_ value: redisReply) -> UnsafeRawBufferPointer {
        unsafe UnsafeRawBufferPointer(start: value.str, count: value.len)
    }

    private func violation() -> RedisError {
        let reason = unsafe withUnsafeBytes(of: reader.pointee.errstr) { text in
            unsafe String(decoding: text.prefix { $0 != 0 }, as: UTF8.self)
        }
        return RedisError(
            .protocolViolation, "What the server sent is no Redis reply (\(reason)); the connection was dropped."
        )
    }
}
