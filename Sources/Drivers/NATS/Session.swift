internal import CNATS
internal import Synchronization

/// One TCP connection from its handshake to its end: it never reconnects.
///
/// The library's own reconnecting is switched off and done by `SessionKeeper`, because it holds the connection's lock
/// while it dials, gives up after two authentication errors, and revives old pull requests under the same inbox. With
/// one session per connection every subscription, inbox and pending answer has exactly one lifetime.
///
/// Calls may block for `writeTimeout`; they are made on the driver's own threads only.
// @unchecked Sendable: the C objects lock themselves, and they are destroyed in `deinit`, when nobody else is left.
@safe final class Session: @unchecked Sendable {
    let number: Int
    /// The server's URL without credentials.
    let server: String
    let maxPayloadBytes: Int
    /// Answers go to `inbox` + "." + call number.
    let inbox: String

    private let connection: OpaquePointer
    /// Nil with TLS.
    private let loop: SocketLoop?
    private let callbacks: CallbackCount
    private let spent = SpentMessages()
    private let subscriptions = Mutex(Subscriptions())

    private struct Subscriptions {
        var nextID = 1
        var live: [Int: Subscription] = [:]
        var draining: [Subscription] = []
    }

    private struct Subscription {
        let handle: Handle
        let completion: Completion
    }

    /// How long an unsubscribed subscription may still deliver what was on its way.
    private static let drainMax = Duration.seconds(5)
    /// How long after its completion a subscription is destroyed: by then the reader thread, which uses the pointer
    /// without holding it (libnats issue 637), has long gone on.
    private static let restAfterDrain = Duration.seconds(1)

    /// Takes over a connected handle. Use `Session.open`.
    init(adopting handle: Handle, loop: SocketLoop?, number: Int, inbox: String, callbacks: CallbackCount) {
        self.number = number
        self.loop = loop
        self.callbacks = callbacks
        unsafe self.connection = handle.pointer
        unsafe self.server = Self.serverName(handle.pointer)
        unsafe self.maxPayloadBytes = max(1, Int(clamping: natsConnection_GetMaxPayload(handle.pointer)))
        self.inbox = inbox
    }

    deinit {
        unsafe natsConnection_Close(connection)
        loop?.join()
        let all = subscriptions.withLock { Array($0.live.values) + $0.draining }
        for subscription in all { unsafe natsSubscription_Destroy(subscription.handle.pointer) }
        unsafe natsConnection_Destroy(connection)
    }

    /// What became of a message that was handed to the library.
    enum Sent {
        case written
        /// The connection was closed before a byte was written.
        case notSent(LibraryStatus)
        /// The connection broke while writing.
        case unknown(LibraryStatus)
        /// The message itself is impossible; the connection is fine.
        case refused(LibraryStatus)
    }

    /// Says several things with one write at the end. Blocks at most `limit` for each full buffer and once more.
    func together(within limit: Duration, _ body: () -> Void) {
        defer { spent.giveBack() }
        guard let loop else { return body() }
        loop.hold()
        body()
        // What the server has not read by then it never will: half a message may be out.
        if !loop.release(within: limit) { close() }
    }

    /// Writes one message. Blocks at most `writeTimeout`.
    func send(_ message: Outgoing, reply: String?) -> Sent {
        let status = unsafe message.payload.withUnsafeBytes { bytes in
            unsafe message.headers.isEmpty
                ? sendPlain(message, reply: reply, bytes) : sendWithHeaders(message, reply: reply, bytes)
        }
        switch status {
        case NATS_OK:
            loop?.makeRoom()
            return .written
        case NATS_CONNECTION_CLOSED, NATS_DRAINING:
            return .notSent(LibraryStatus(status))
        case NATS_MAX_PAYLOAD, NATS_INVALID_ARG, NATS_INVALID_SUBJECT, NATS_NO_SERVER_SUPPORT, NATS_NO_MEMORY:
            return .refused(LibraryStatus(status))
        default:
            // Half a message may be out, so the connection is of no use any more.
            close()
            return .unknown(LibraryStatus(status))
        }
    }

    /// Subscribes; `deliver` runs on the subscription's own thread and gets the count of messages the library dropped.
    ///
    /// - Parameter pendingMax: messages waiting for `deliver`, nil when something else bounds them.
    /// - Returns: an id for `unsubscribe`.
    func subscribe(
        _ subject: String, queue: String? = nil, pendingMax: Int?,
        deliver: @escaping @Sendable (NATSMessage, Int) -> Void
    ) throws(NATSError) -> Int {
        let completion = Completion()
        let box = unsafe Unmanaged.passRetained(
            SubscriptionBox(
                callbacks: callbacks, completion: completion, canDrop: pendingMax != nil, deliver: deliver)
        )
        var pointer: OpaquePointer?
        let status =
            if let queue {
                unsafe natsConnection_QueueSubscribe(&pointer, connection, subject, queue, onMessage, box.toOpaque())
            } else {
                unsafe natsConnection_Subscribe(&pointer, connection, subject, onMessage, box.toOpaque())
            }
        guard status == NATS_OK, let pointer = unsafe pointer else {
            unsafe box.release()
            throw NATSError(.library, "Subscribing to '\(subject)' failed.", underlying: LibraryStatus(status))
        }
        callbacks.begin()
        if unsafe natsSubscription_SetOnCompleteCB(pointer, onComplete, box.toOpaque()) != NATS_OK {
            // Closed already: no callback will tell, and the box is left alone rather than freed too early.
            callbacks.end()
            completion.end()
        }
        unsafe natsSubscription_SetPendingLimits(pointer, Int32(pendingMax ?? -1), -1)
        let handle = unsafe Handle(pointer: pointer)
        return subscriptions.withLock { state in
            defer { state.nextID += 1 }
            state.live[state.nextID] = Subscription(handle: handle, completion: completion)
            return state.nextID
        }
    }

    /// Ends a subscription. What the server had sent before it knew is still delivered.
    func unsubscribe(_ id: Int) {
        let now = ContinuousClock.now
        let (ending, ended) = subscriptions.withLock { state -> (Subscription?, [Subscription]) in
            let ended = state.draining.filter { $0.completion.isOver(since: now - Self.restAfterDrain) }
            state.draining.removeAll { $0.completion.isOver(since: now - Self.restAfterDrain) }
            let ending = state.live.removeValue(forKey: id)
            if let ending { state.draining.append(ending) }
            return (ending, ended)
        }
        for subscription in ended { unsafe natsSubscription_Destroy(subscription.handle.pointer) }
        guard let ending else { return }
        // Fails only when the connection is closed, and then there is nothing left to end.
        _ = unsafe natsSubscription_DrainTimeout(ending.handle.pointer, Self.drainMax.wholeMilliseconds)
    }

    /// True while an unsubscribed subscription may still deliver.
    var isDraining: Bool { subscriptions.withLock { $0.draining.contains { !$0.completion.isOver(since: .now) } } }

    /// A ping and its pong: everything written before has reached the server. Blocks at most `limit` + `writeTimeout`.
    func flush(within limit: Duration) throws(NATSError) {
        let status = unsafe natsConnection_FlushTimeout(connection, limit.wholeMilliseconds)
        // The library answers OK when the ping could not be written at all; the connection is closed then.
        if status == NATS_OK, unsafe !natsConnection_IsClosed(connection) { return }
        if status == NATS_TIMEOUT {
            throw NATSError(.timeout, "The server did not answer a ping in time.", underlying: LibraryStatus(status))
        }
        throw NATSError(.disconnected, "The connection broke during a ping.", underlying: LibraryStatus(status))
    }

    /// Closes the socket. `onClosed` follows on another thread. Idempotent.
    func close() { unsafe natsConnection_Close(connection) }

    private func sendPlain(_ message: Outgoing, reply: String?, _ bytes: UnsafeRawBufferPointer) -> natsStatus {
        if let reply {
            return unsafe natsConnection_PublishRequest(
                connection, message.subject, reply, bytes.baseAddress, Int32(bytes.count)
            )
        }
        return unsafe natsConnection_Publish(connection, message.subject, bytes.baseAddress, Int32(bytes.count))
    }

    private func sendWithHeaders(_ message: Outgoing, reply: String?, _ bytes: UnsafeRawBufferPointer) -> natsStatus {
        var pointer: OpaquePointer?
        let data = unsafe bytes.bindMemory(to: CChar.self).baseAddress
        // `withCString` lends a string's own bytes; passing the string itself would copy each of them first.
        let made = unsafe message.subject.withCString { subject in
            guard let reply else { return unsafe natsMsg_Create(&pointer, subject, nil, data, Int32(bytes.count)) }
            return unsafe reply.withCString { unsafe natsMsg_Create(&pointer, subject, $0, data, Int32(bytes.count)) }
        }
        guard made == NATS_OK, let pointer = unsafe pointer else { return made }
        defer { spent.add(unsafe Handle(pointer: pointer), bytes: message.sizeBytes) }
        for (name, value) in message.headers {
            let status = unsafe name.withCString { name in
                unsafe value.withCString { unsafe natsMsgHeader_Set(pointer, name, $0) }
            }
            guard status == NATS_OK else { return status }
        }
        return unsafe natsConnection_PublishMsg(connection, pointer)
    }

    private static func serverName(_ connection: OpaquePointer) -> String {
        var buffer = [CChar](repeating: 0, count: 512)
        let status = unsafe natsConnection_GetConnectedUrl(connection, &buffer, buffer.count)
        guard status == NATS_OK else { return "unknown" }
        let url = String(decoding: buffer.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
        return withoutCredentials(url)
    }
}

/// `nats://user:password@host` becomes `nats://host`.
func withoutCredentials(_ url: String) -> String {
    guard let at = url.lastIndex(of: "@") else { return url }
    let host = url[url.index(after: at)...]
    guard let slash = url.firstIndex(of: "/"), slash < at else { return String(host) }
    return url[..<slash] + "//" + host
}

/// A unique inbox subject.
func newInbox() throws(NATSError) -> String {
    var raw: UnsafeMutablePointer<CChar>?
    let status = unsafe natsInbox_Create(&raw)
    guard status == NATS_OK, let raw = unsafe raw else {
        throw NATSError(.library, "No inbox could be made.", underlying: LibraryStatus(status))
    }
    defer { unsafe natsInbox_Destroy(raw) }
    return unsafe String(cString: raw)
}
