/// One live connection: bytes out, whole replies in, with or without TLS. Confined to the connection's thread.
struct Link: ~Copyable {
    /// At most this much is read in one turn, so that deadlines are looked at in between.
    private static let readsPerTurn = 16
    private static let readBytes = 64 * 1024

    let socket: Socket
    private var tls: TLSSession?
    private var reader: ReplyReader
    private var wire: [UInt8] = []
    private var wireSent = 0
    private var scratch = [UInt8](repeating: 0, count: readBytes)

    init(socket: consuming Socket, tls: consuming TLSSession?, maxReplyBytes: Int) {
        self.socket = socket
        self.tls = tls
        self.reader = ReplyReader(maxReplyBytes: maxReplyBytes)
    }

    /// Bytes that wait for the kernel.
    var unsentBytes: Int { wire.count - wireSent }

    /// Makes `bytes` the next to go; `flush` moves them.
    mutating func write(_ bytes: [UInt8]) throws(RedisError) {
        if tls == nil {
            wire += bytes
        } else {
            try tls?.send(bytes)
            tls?.drain(into: &wire)
        }
    }

    /// Gives the kernel what it takes now.
    mutating func flush() throws(RedisError) {
        while unsentBytes > 0 {
            let transfer = unsafe wire.withUnsafeBytes { bytes in
                unsafe socket.send(UnsafeRawBufferPointer(rebasing: bytes[wireSent...]))
            }
            switch transfer {
            case .moved(let count): wireSent += count
            case .wouldBlock:
                // What was sent is dropped once it is the larger half: a wire that is never quite empty stays bounded.
                if wireSent * 2 > wire.count {
                    wire.removeFirst(wireSent)
                    wireSent = 0
                }
                return
            case .ended(let failure): throw failure
            }
        }
        wire.removeAll(keepingCapacity: true)
        wireSent = 0
    }

    /// Reads what has come and adds the whole replies to `replies`. Answers why the connection ended, if it did;
    /// replies that came before the end are there all the same.
    mutating func receive(into replies: inout [ReplyReader.Parsed]) -> RedisError? {
        for _ in 0..<Self.readsPerTurn {
            let transfer = unsafe scratch.withUnsafeMutableBytes { unsafe socket.receive(into: $0) }
            switch transfer {
            case .wouldBlock: return nil
            case .ended(let failure): return failure
            case .moved(let count):
                do throws(RedisError) {
                    try take(count, into: &replies)
                } catch {
                    return error
                }
                if count < Self.readBytes { return nil }
            }
        }
        return nil
    }

    /// Goes on with the TLS handshake; true once it is done (at once without TLS).
    mutating func handshake() throws(RedisError) -> Bool {
        guard tls != nil else { return true }
        defer { tls?.drain(into: &wire) }
        return try tls?.handshake() == .done
    }

    /// Reads bytes of the handshake.
    mutating func receiveHandshake() throws(RedisError) {
        let transfer = unsafe scratch.withUnsafeMutableBytes { unsafe socket.receive(into: $0) }
        switch transfer {
        case .wouldBlock: return
        case .ended(let failure): throw failure
        case .moved(let count): decrypt(count)
        }
    }

    private mutating func take(_ count: Int, into replies: inout [ReplyReader.Parsed]) throws(RedisError) {
        guard tls != nil else {
            try feed(scratch, count, into: &replies)
            return
        }
        decrypt(count)
        while let plain = try tls?.nextPlain() { try feed(plain, plain.count, into: &replies) }
        // Reading may answer, as for a key update.
        tls?.drain(into: &wire)
    }

    private mutating func decrypt(_ count: Int) {
        unsafe scratch.withUnsafeBytes { unsafe tls?.receive(UnsafeRawBufferPointer(rebasing: $0[..<count])) }
    }

    private mutating func feed(
        _ bytes: [UInt8], _ count: Int, into replies: inout [ReplyReader.Parsed]
    ) throws(RedisError) {
        try reader.feed(bytes, count: count)
        while let reply = try reader.next() { replies.append(reply) }
    }
}
