internal import CLibPQ
internal import DriverThreads
internal import Glibc
internal import Synchronization

/// Stops what a connection's thread is waiting for, from any other thread.
///
/// A request remembers its reason, wakes the thread's `poll`, and sends libpq's cancel request from a short-lived
/// thread of its own, because `PQcancel` blocks for as long as the server is silent. Requests carry the token of the
/// call they mean, so that one that comes late never hits the next call.
final class Interruption: Sendable {
    /// Why a call was stopped.
    enum Reason: Sendable, Hashable {
        case timeout
        case cancelled
        case closing

        var code: PostgresError.Code {
            switch self {
            case .timeout: .timeout
            case .cancelled: .cancelled
            case .closing: .closed
            }
        }
    }

    private struct State {
        var token: UInt64 = 0
        var active = false
        var reason: Reason?
        /// The cancel request of the current token is on its way.
        var sending = false
        /// Cancel threads alive, those of lost connections included.
        var threads = 0
        var cancel: CancelRequest?
    }

    /// Cancel threads alive at once; where the server holds them all, connections are given up without one.
    static let maxThreads = 4

    private let state = Mutex(State())
    let wakeUp = PollWakeUp()

    /// The request that stops the present connection's statement.
    func attach(_ cancel: CancelRequest?) {
        state.withLock { $0.cancel = cancel }
    }

    /// A call starts. The token names it in `request`.
    func begin() -> UInt64 {
        state.withLock { state in
            state.token += 1
            state.active = true
            state.reason = nil
            state.sending = false
            return state.token
        }
    }

    /// The call is over; requests that name it change nothing from here on.
    func end() {
        state.withLock { $0.active = false }
    }

    /// Why the current call was asked to stop, if it was.
    var reason: Reason? { state.withLock { $0.reason } }

    /// True while a cancel request for the current call may still reach the server.
    var isSending: Bool { state.withLock { $0.sending } }

    /// Asks the call to stop. `nil` means whichever call is running. Only the first reason counts.
    func request(_ reason: Reason, token: UInt64? = nil) {
        let cancel: (request: CancelRequest, token: UInt64)? = state.withLock { state in
            guard state.active, state.reason == nil, token == nil || token == state.token else { return nil }
            state.reason = reason
            guard let cancel = state.cancel, state.threads < Self.maxThreads else { return nil }
            state.threads += 1
            state.sending = true
            return (cancel, state.token)
        }
        wakeUp.signal()
        guard let cancel else { return }
        startThread(name: "pg-cancel") {
            cancel.request.send()
            self.state.withLock { state in
                state.threads -= 1
                if state.token == cancel.token { state.sending = false }
            }
            self.wakeUp.signal()
        }
    }
}

/// libpq's cancel request of one connection. It may be sent from any thread, and outlives the connection.
// @unchecked Sendable: libpq documents PQcancel as safe to call from any thread; the pointer never changes.
@safe final class CancelRequest: @unchecked Sendable {
    private let handle: OpaquePointer

    /// libpq's own recommendation for the error buffer.
    private static let messageBytes = 256

    init?(connection: OpaquePointer) {
        guard let handle = unsafe PQgetCancel(connection) else { return nil }
        unsafe self.handle = unsafe handle
    }

    deinit { unsafe PQfreeCancel(handle) }

    /// Blocks until the server has taken the request or the connection to it fails. A failure needs no handling: the
    /// caller gives the connection up when the statement does not end.
    func send() {
        unsafe withUnsafeTemporaryAllocation(of: CChar.self, capacity: Self.messageBytes) { buffer in
            _ = unsafe PQcancel(handle, buffer.baseAddress, Int32(buffer.count))
        }
    }
}
