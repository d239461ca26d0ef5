internal import COpenSSL
internal import Glibc

/// One TLS client session between two buffers: bytes of the wire on one side, plain bytes on the other.
///
/// It touches no socket, so the connection's one loop does all the waiting. The certificate chain and the host name
/// are always verified; there is no way to turn that off.
@safe struct TLSSession: ~Copyable {
    /// What the session can do after having been given bytes.
    enum Progress { case done, needsMore }

    private static let chunk = 16 * 1024

    // SSL_CTX and SSL; the session owns both buffers.
    private let context: OpaquePointer
    private let session: OpaquePointer
    private let fromWire: OpaquePointer
    private let toWire: OpaquePointer

    /// - Throws: `connectFailed` when a file cannot be used.
    init(_ tls: RedisTLS, host: String) throws(RedisError) {
        ERR_clear_error()
        guard let context = unsafe SSL_CTX_new(TLS_client_method()) else { throw Self.failure("TLS cannot start") }
        do throws(RedisError) {
            try unsafe Self.configure(context, tls)
            unsafe session = try unsafe Self.makeSession(context, name: tls.serverName ?? host)
        } catch {
            unsafe SSL_CTX_free(context)
            throw error
        }
        guard let fromWire = unsafe BIO_new(BIO_s_mem()), let toWire = unsafe BIO_new(BIO_s_mem()) else {
            preconditionFailure("The operating system has no memory for two empty buffers.")
        }
        unsafe SSL_set_bio(session, fromWire, toWire)
        unsafe SSL_set_connect_state(session)
        unsafe self.context = unsafe context
        unsafe self.fromWire = unsafe fromWire
        unsafe self.toWire = unsafe toWire
    }

    deinit {
        unsafe SSL_free(session)
        unsafe SSL_CTX_free(context)
    }

    /// Goes on with the handshake.
    ///
    /// - Throws: `connectFailed` when the server is not trusted or speaks no TLS.
    mutating func handshake() throws(RedisError) -> Progress {
        ERR_clear_error()
        let code = unsafe SSL_do_handshake(session)
        if code == 1 { return .done }
        if unsafe SSL_get_error(session, code) == SSL_ERROR_WANT_READ { return .needsMore }
        let verdict = unsafe SSL_get_verify_result(session)
        if verdict != Int(X509_V_OK) {
            let reason = unsafe String(cString: X509_verify_cert_error_string(verdict))
            throw RedisError(.connectFailed, "The certificate of Redis is not trusted: \(reason). Nothing was sent.")
        }
        throw Self.failure("The TLS handshake with Redis failed")
    }

    /// Takes bytes that came over the wire.
    mutating func receive(_ bytes: UnsafeRawBufferPointer) {
        let taken = unsafe BIO_write(fromWire, bytes.baseAddress, Int32(bytes.count))
        precondition(taken == Int32(bytes.count), "The operating system has no memory for \(bytes.count) bytes.")
    }

    /// The plain bytes received so far, piece by piece; nil when more must come first.
    ///
    /// - Throws: `disconnected` when the peer ended the session or broke it.
    mutating func nextPlain() throws(RedisError) -> [UInt8]? {
        ERR_clear_error()
        var code: Int32 = 0
        let plain = unsafe [UInt8](unsafeUninitializedCapacity: Self.chunk) { buffer, count in
            code = unsafe SSL_read(session, buffer.baseAddress, Int32(buffer.count))
            count = max(0, Int(code))
        }
        if code > 0 { return plain }
        switch unsafe SSL_get_error(session, code) {
        case SSL_ERROR_WANT_READ: return nil
        case SSL_ERROR_ZERO_RETURN: throw RedisError(.disconnected, "Redis ended the TLS session.")
        default:
            throw RedisError(.disconnected, "The TLS session with Redis broke: \(Self.reason()).")
        }
    }

    /// Encrypts all of `plain`.
    ///
    /// - Throws: `disconnected` when the session is broken.
    mutating func send(_ plain: [UInt8]) throws(RedisError) {
        guard !plain.isEmpty else { return }
        ERR_clear_error()
        // A memory buffer takes everything at once, so there is no partial write to go on from.
        let code = unsafe SSL_write(session, plain, Int32(plain.count))
        guard code == Int32(plain.count) else {
            throw RedisError(.disconnected, "The TLS session with Redis broke: \(Self.reason()).")
        }
    }

    /// Moves what must go over the wire to the end of `wire`.
    mutating func drain(into wire: inout [UInt8]) {
        while unsafe BIO_ctrl_pending(toWire) > 0 {
            let piece = unsafe [UInt8](unsafeUninitializedCapacity: Self.chunk) { buffer, count in
                count = max(0, Int(unsafe BIO_read(toWire, buffer.baseAddress, Int32(buffer.count))))
            }
            guard !piece.isEmpty else { return }
            wire += piece
        }
    }

    private static func configure(_ context: OpaquePointer, _ tls: RedisTLS) throws(RedisError) {
        guard unsafe openssl_require_tls12(context) == 1 else { throw failure("TLS 1.2 cannot be required") }
        unsafe SSL_CTX_set_verify(context, SSL_VERIFY_PEER, nil)
        let trusted =
            if let file = tls.authorityFile {
                unsafe SSL_CTX_load_verify_locations(context, file, nil)
            } else {
                unsafe SSL_CTX_set_default_verify_paths(context)
            }
        guard trusted == 1 else { throw failure("The authorities for Redis cannot be read") }
        if let file = tls.certificateFile {
            guard unsafe SSL_CTX_use_certificate_chain_file(context, file) == 1 else {
                throw failure("This client's certificate for Redis cannot be read")
            }
        }
        if let file = tls.keyFile {
            guard unsafe SSL_CTX_use_PrivateKey_file(context, file, SSL_FILETYPE_PEM) == 1 else {
                throw failure("This client's key for Redis cannot be read or does not fit its certificate")
            }
        }
    }

    private static func makeSession(_ context: OpaquePointer, name: String) throws(RedisError) -> OpaquePointer {
        guard let session = unsafe SSL_new(context) else { throw failure("TLS cannot start") }
        // An address is checked against the certificate's addresses, anything else against its names.
        if unsafe X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(session), name) == 1 { return unsafe session }
        guard unsafe SSL_set1_host(session, name) == 1, unsafe openssl_name_server(session, name) == 1 else {
            unsafe SSL_free(session)
            throw failure("The name to verify Redis by cannot be used")
        }
        return unsafe session
    }

    private static func failure(_ what: String) -> RedisError {
        RedisError(.connectFailed, "\(what): \(reason()). Nothing was sent; attempts go on.")
    }

    /// The oldest reason on this thread's error stack.
    private static func reason() -> String {
        let code = ERR_get_error()
        if let text = unsafe ERR_reason_error_string(code) { return unsafe String(cString: text) }
        // The operating system's errors, as of a file that is missing, carry this flag and their own number.
        let system: UInt = 0x8000_0000
        guard code & system != 0 else { return "no reason given" }
        return unsafe String(cString: strerror(Int32(code & (system - 1))))
    }
}
