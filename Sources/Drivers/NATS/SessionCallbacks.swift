internal import CNATS
internal import Glibc
internal import Synchronization

/// A C object of the library. Whoever holds it decides when it is destroyed.
// @unchecked Sendable: the library's objects lock themselves.
@safe struct Handle: @unchecked Sendable {
    let pointer: OpaquePointer
}

extension LibraryStatus {
    init(_ status: natsStatus) {
        let text = unsafe natsStatus_GetText(status).map { unsafe String(cString: $0) }
        self.init(number: status.rawValue, text: text ?? "unknown")
    }
}

/// Counts what may still call back, so that a shutdown can wait until nothing will.
final class CallbackCount: Sendable {
    private let count = Mutex(0)
    private let ended = WakeUp()

    func begin() { count.withLock { $0 += 1 } }

    func end() {
        if count.withLock({
            $0 -= 1; return $0 == 0
        }) {
            ended.raise()
        }
    }

    /// True when nothing is left that could call back.
    func waitUntilQuiet(_ deadline: ContinuousClock.Instant) -> Bool {
        while count.withLock({ $0 }) > 0 {
            if !ended.wait(until: deadline) { return count.withLock { $0 } == 0 }
        }
        return true
    }
}

/// When a subscription delivered for the last time.
final class Completion: Sendable {
    private let instant = Mutex<ContinuousClock.Instant?>(nil)

    func end() { instant.withLock { $0 = .now } }

    func isOver(since limit: ContinuousClock.Instant) -> Bool {
        instant.withLock { $0.map { $0 <= limit } ?? false }
    }
}

/// Held by the library for one subscription and released in its completion callback.
final class SubscriptionBox: Sendable {
    let callbacks: CallbackCount
    let completion: Completion
    /// Whether the library drops messages that wait too long in line.
    let canDrop: Bool
    let spent = SpentMessages()
    let deliver: @Sendable (NATSMessage, Int) -> Void

    init(
        callbacks: CallbackCount, completion: Completion, canDrop: Bool,
        deliver: @escaping @Sendable (NATSMessage, Int) -> Void
    ) {
        self.callbacks = callbacks
        self.completion = completion
        self.canDrop = canDrop
        self.deliver = deliver
    }
}

/// Held by the library for one connection and released in its closed callback, which is the last one.
final class ConnectionBox: Sendable {
    let callbacks: CallbackCount
    let hooks: SessionHooks

    init(callbacks: CallbackCount, hooks: SessionHooks) {
        self.callbacks = callbacks
        self.hooks = hooks
    }
}

/// What a session tells its owner; called on the library's threads, so they copy, hand over and return.
struct SessionHooks: Sendable {
    /// An answer to the call with that number.
    let onReply: @Sendable (UInt64, NATSMessage) -> Void
    /// The connection has ended, with the reason. Exactly once.
    let onClosed: @Sendable (String) -> Void
    /// The server complained without closing, for instance about a missing permission.
    let onComplaint: @Sendable (String) -> Void
}

func onMessage(
    _: OpaquePointer?, _ subscription: OpaquePointer?, _ message: OpaquePointer?, _ closure: UnsafeMutableRawPointer?
) {
    guard let message = unsafe message, let closure = unsafe closure else { return }
    let box = unsafe Unmanaged<SubscriptionBox>.fromOpaque(closure).takeUnretainedValue()
    let copy = unsafe NATSMessage(copying: message)
    box.spent.add(unsafe Handle(pointer: message), bytes: copy.payload.count)
    var dropped: Int64 = 0
    // The thread that reads waits for whoever asks.
    if box.canDrop { _ = unsafe natsSubscription_GetDropped(subscription, &dropped) }
    box.deliver(copy, Int(dropped))
}

func onComplete(_ closure: UnsafeMutableRawPointer?) {
    guard let closure = unsafe closure else { return }
    let box = unsafe Unmanaged<SubscriptionBox>.fromOpaque(closure).takeRetainedValue()
    box.completion.end()
    box.callbacks.end()
}

func onConnectionClosed(_ connection: OpaquePointer?, _ closure: UnsafeMutableRawPointer?) {
    guard let closure = unsafe closure else { return }
    let box = unsafe Unmanaged<ConnectionBox>.fromOpaque(closure).takeRetainedValue()
    box.hooks.onClosed(unsafe lastError(connection) ?? "The connection was closed.")
    box.callbacks.end()
}

/// The subscription pointer may be freed by now (libnats pull request 659), so it is not touched.
func onConnectionError(
    _ connection: OpaquePointer?, _: OpaquePointer?, _ status: natsStatus, _ closure: UnsafeMutableRawPointer?
) {
    guard let closure = unsafe closure else { return }
    let box = unsafe Unmanaged<ConnectionBox>.fromOpaque(closure).takeUnretainedValue()
    let text = unsafe lastError(connection)
    box.hooks.onComplaint(text ?? LibraryStatus(status).text)
}

private func lastError(_ connection: OpaquePointer?) -> String? {
    var text: UnsafePointer<CChar>?
    let status = unsafe natsConnection_GetLastError(connection, &text)
    if let text = unsafe text, unsafe text[0] != 0 { return unsafe String(cString: text) }
    return status == NATS_OK ? nil : LibraryStatus(status).text
}

extension NATSMessage {
    /// Copies everything; no C pointer escapes.
    init(copying message: OpaquePointer) {
        let bytes = unsafe UnsafeRawBufferPointer(
            start: natsMsg_GetData(message), count: max(0, Int(natsMsg_GetDataLength(message)))
        )
        self.init(
            subject: unsafe natsMsg_GetSubject(message).map { unsafe String(cString: $0) } ?? "",
            reply: unsafe natsMsg_GetReply(message).map { unsafe String(cString: $0) },
            headers: unsafe Self.copyHeaders(message),
            payload: unsafe [UInt8](bytes)
        )
    }

    private static func copyHeaders(_ message: OpaquePointer) -> [String: String] {
        var names: UnsafeMutablePointer<UnsafePointer<CChar>?>?
        var count: Int32 = 0
        let status = unsafe natsMsgHeader_Keys(message, &names, &count)
        guard status == NATS_OK, let names = unsafe names else { return [:] }
        defer { unsafe free(names) }
        var headers: [String: String] = [:]
        for index in 0..<Int(count) {
            var value: UnsafePointer<CChar>?
            guard let name = unsafe names[index] else { continue }
            guard unsafe natsMsgHeader_Get(message, name, &value) == NATS_OK else { continue }
            unsafe headers[String(cString: name)] = value.map { unsafe String(cString: $0) } ?? ""
        }
        return headers
    }
}
