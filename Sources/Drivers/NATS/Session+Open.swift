internal import CNATS
internal import Glibc

extension Session {
    /// Dials the servers in turn, shakes hands and subscribes to the session's own inbox.
    ///
    /// Blocks: run it on a thread of its own. Bounded by `connectTimeout` per server, except that libnats 3.4.1 has no
    /// bound for the TLS handshake; `SessionKeeper` abandons an attempt that takes too long.
    static func open(
        _ configuration: NATSConfiguration, number: Int, callbacks: CallbackCount, hooks: SessionHooks
    ) throws(NATSError) -> Session {
        let inbox = try newInbox()
        let options = try makeOptions(configuration)
        defer { unsafe natsOptions_Destroy(options.pointer) }
        let loop = configuration.tls == nil ? SocketLoop() : nil
        if let loop { try check(unsafe loop.install(in: options.pointer), "event loop") }
        let box = unsafe Unmanaged.passRetained(ConnectionBox(callbacks: callbacks, hooks: hooks))
        unsafe natsOptions_SetClosedCB(options.pointer, onConnectionClosed, box.toOpaque())
        unsafe natsOptions_SetErrorHandler(options.pointer, onConnectionError, box.toOpaque())
        var pointer: OpaquePointer?
        let status = unsafe natsConnection_Connect(&pointer, options.pointer)
        guard status == NATS_OK, let pointer = unsafe pointer else {
            let cause = unsafe connectError(status, text: nats_GetLastError(nil).map { unsafe String(cString: $0) })
            unsafe box.release()
            throw cause
        }
        callbacks.begin()
        let session = unsafe Session(
            adopting: Handle(pointer: pointer), loop: loop, number: number, inbox: inbox, callbacks: callbacks
        )
        let prefix = inbox.utf8.count + 1
        _ = try session.subscribe(inbox + ".*", pendingMax: nil) { message, _ in
            guard let call = UInt64(Substring(message.subject.utf8.dropFirst(prefix))) else { return }
            hooks.onReply(call, message)
        }
        return session
    }

    private static func connectError(_ status: natsStatus, text: String?) -> NATSError {
        let cause = LibraryStatus(number: status.rawValue, text: text ?? LibraryStatus(status).text)
        switch status {
        case NATS_CONNECTION_AUTH_FAILED:
            return NATSError(
                .authenticationFailed, "The NATS server refused the credentials. Check them; a retry will not help.",
                underlying: cause
            )
        case NATS_SSL_ERROR, NATS_SECURE_CONNECTION_WANTED, NATS_SECURE_CONNECTION_REQUIRED:
            return NATSError(
                .tlsFailed,
                "The TLS handshake with the NATS server failed. Check the authority, the host name and "
                    + "whether both sides use TLS.",
                underlying: cause
            )
        default:
            return NATSError(
                .connectFailed, "No NATS server could be reached. Check the addresses and that one is running.",
                underlying: cause
            )
        }
    }

    private static func makeOptions(_ configuration: NATSConfiguration) throws(NATSError) -> Handle {
        var pointer: OpaquePointer?
        try check(unsafe natsOptions_Create(&pointer), "options")
        guard let pointer = unsafe pointer else { throw NATSError(.library, "No options could be made.") }
        let handle = unsafe Handle(pointer: pointer)
        do {
            try setServers(configuration, handle)
            try setBehaviour(configuration, handle)
            try setCredentials(configuration.credentials, handle)
            if let tls = configuration.tls { try setTLS(tls, handle) }
            return handle
        } catch {
            unsafe natsOptions_Destroy(handle.pointer)
            throw error
        }
    }

    private static func setServers(_ configuration: NATSConfiguration, _ handle: Handle) throws(NATSError) {
        guard !configuration.servers.isEmpty else {
            throw NATSError(.invalidConfiguration, "No NATS server is configured.")
        }
        let copies = unsafe configuration.servers.map { unsafe strdup($0) }
        defer { unsafe copies.forEach { unsafe free($0) } }
        var pointers = unsafe copies.map { unsafe UnsafePointer($0) }
        try check(unsafe natsOptions_SetServers(handle.pointer, &pointers, Int32(pointers.count)), "servers")
        try check(unsafe natsOptions_SetName(handle.pointer, configuration.name), "name")
    }

    private static func setBehaviour(_ configuration: NATSConfiguration, _ handle: Handle) throws(NATSError) {
        let options = unsafe handle.pointer
        let connect = configuration.connectTimeout.wholeMilliseconds
        let write = configuration.writeTimeout.wholeMilliseconds
        let ping = configuration.pingInterval.wholeMilliseconds
        try check(unsafe natsOptions_SetTimeout(options, connect), "connectTimeout")
        try check(unsafe natsOptions_SetAllowReconnect(options, false), "reconnect")
        // Without it a write waits up to a millisecond for the flusher thread: 1,000 awaited publishes a second.
        try check(unsafe natsOptions_SetSendAsap(options, true), "sendAsap")
        try check(unsafe natsOptions_SetWriteDeadline(options, write), "writeTimeout")
        try check(unsafe natsOptions_SetPingInterval(options, ping), "pingInterval")
        try check(unsafe natsOptions_SetMaxPingsOut(options, Int32(configuration.pingsOutMax)), "pingsOutMax")
    }

    private static func setCredentials(_ credentials: NATSCredentials, _ handle: Handle) throws(NATSError) {
        let options = unsafe handle.pointer
        switch credentials {
        case .none:
            return
        case .userPassword(let user, let password):
            try check(unsafe natsOptions_SetUserInfo(options, user, password), "user and password")
        case .token(let token):
            try check(unsafe natsOptions_SetToken(options, token), "token")
        case .credentialsFile(let path):
            try check(unsafe natsOptions_SetUserCredentialsFromFiles(options, path, nil), "credentials file")
        }
    }

    private static func setTLS(_ tls: NATSTLS, _ handle: Handle) throws(NATSError) {
        let options = unsafe handle.pointer
        try check(unsafe natsOptions_SetSecure(options, true), "TLS")
        if let file = tls.caFile {
            try check(unsafe natsOptions_LoadCATrustedCertificates(options, file), "TLS authority file")
        }
        switch (tls.certificateFile, tls.keyFile) {
        case (nil, nil):
            break
        case (let certificate?, let key?):
            try check(unsafe natsOptions_LoadCertificatesChain(options, certificate, key), "TLS certificate files")
        default:
            throw NATSError(.invalidConfiguration, "A TLS client certificate needs both its certificate and key file.")
        }
        if let name = tls.expectedHostname {
            try check(unsafe natsOptions_SetExpectedHostname(options, name), "TLS host name")
        }
    }

    private static func check(_ status: natsStatus, _ what: String) throws(NATSError) {
        guard status != NATS_OK else { return }
        // The library's own text could repeat a URL with its password, so only the status is kept.
        throw NATSError(
            .invalidConfiguration, "The configured NATS \(what) cannot be used.", underlying: LibraryStatus(status)
        )
    }
}
