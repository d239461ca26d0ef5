internal import CLibPQ
internal import DriverThreads
internal import Glibc

/// One libpq connection. It belongs to the thread that opened it: every method runs there and may block, but never past
/// its deadline plus `cancelGrace`.
///
/// It always speaks in pipeline mode: what a call needs (BEGIN, a first preparation, the statement, COMMIT) goes out
/// together and costs one round trip. Waiting is `poll` over a non-blocking socket.
@safe final class PostgresConnection {
    /// What was sent and not yet answered.
    enum Step {
        case begin
        case prepare(ObjectIdentifier)
        case statement
        /// Its answer is taken as soon as it is there, since the statement is not the last.
        case answered((borrowing QueryResult) throws(PostgresError) -> Void)
        case commit
        case rollback
    }

    /// Where the present call stands.
    enum Phase: Equatable {
        case autocommit(readOnly: Bool)
        case unstarted(PostgresIsolation)
        case open
        case failed
        case finished
    }

    let raw: OpaquePointer
    let interruption: Interruption
    let configuration: PostgresConfiguration
    var prepared: [ObjectIdentifier: PreparedStatement] = [:]
    /// Preparations so far; a name is never used twice.
    var preparedCount = 0
    var bindings: PostgresBindings
    /// How the server plans at present; nil when a rollback may have undone the last change.
    var planning: PostgresPlanning? = .byCall
    var steps: [Step] = []
    var phase = Phase.autocommit(readOnly: false)
    /// When the wait in progress ends; after an interruption, when its grace ends.
    var deadline = ContinuousClock.now
    /// When the call in progress ends; `deadline` never lies beyond.
    var callDeadline = ContinuousClock.now
    private var hasGrace = false
    /// True from handing a round trip to libpq until its last answer.
    var isInFlight = false
    private let farewell = Farewell()
    /// False once the connection cannot serve another call.
    private(set) var isUsable = true

    /// - Parameter raw: a connected handle, owned from here on.
    init(raw: OpaquePointer, configuration: PostgresConfiguration, interruption: Interruption) {
        unsafe self.raw = unsafe raw
        self.configuration = configuration
        self.interruption = interruption
        bindings = PostgresBindings(maxBytes: configuration.maxParameterBytes)
        interruption.attach(unsafe CancelRequest(connection: raw))
        unsafe farewell.listen(on: raw)
    }

    deinit {
        interruption.attach(nil)
        unsafe PQfinish(raw)
    }

    /// The connection must not serve another call.
    func giveUp() { isUsable = false }

    /// Runs one call: within it every wait ends at `limit` from now, and interruptions that name its token stop it.
    ///
    /// Afterwards a cancel request still on its way is waited for (at most `cancelGrace`), so that it cannot stop the
    /// next call, and a connection that is not idle is given up.
    func serve<R>(within limit: Duration, started: (UInt64) -> Bool, _ body: () -> R) -> R? {
        let token = interruption.begin()
        defer { interruption.end() }
        guard started(token) else { return nil }
        callDeadline = ContinuousClock.now + limit
        hasGrace = false
        let result = body()
        settle()
        if unsafe isUsable && PQtransactionStatus(raw) != PQTRANS_IDLE { giveUp() }
        return result
    }

    /// Waits out a cancel request that is still on its way.
    func settle() {
        guard isUsable, interruption.reason != nil else { return }
        let end = ContinuousClock.now + configuration.cancelGrace
        while interruption.isSending {
            guard poll(events: 0, until: end) != .expired else { return giveUp() }
        }
    }

    /// Looks at an idle connection's socket without waiting. False when the server has ended the session.
    func isAlive() -> Bool {
        while isUsable {
            guard poll(events: Int16(POLLIN), until: ContinuousClock.now) == .ready else { return true }
            // Asking whether it is busy makes libpq read what came: a notice, or the server's farewell.
            let isRead = unsafe PQconsumeInput(raw) == 1 && PQisBusy(raw) == 0
            if unsafe !isRead || farewell.isSaid || PQstatus(raw) != CONNECTION_OK { giveUp() }
        }
        return false
    }

    enum Readiness { case ready, woken, expired }

    /// One `poll` of the socket and the wake-up pipe.
    func poll(events: Int16, until end: ContinuousClock.Instant) -> Readiness {
        let left = end - ContinuousClock.now
        let socket = unsafe PQsocket(raw)
        return Self.poll(socket: socket, events: events, wakeUp: interruption.wakeUp, for: left)
    }

    /// - Parameter left: rounded up to the millisecond; nothing or less looks without waiting.
    static func poll(socket: Int32, events: Int16, wakeUp: PollWakeUp, for left: Duration) -> Readiness {
        var watched = (
            pollfd(fd: events == 0 ? -1 : socket, events: events, revents: 0),
            pollfd(fd: wakeUp.descriptor, events: Int16(POLLIN), revents: 0)
        )
        let count = unsafe withUnsafeMutablePointer(to: &watched) { pair in
            unsafe pair.withMemoryRebound(to: pollfd.self, capacity: 2) { first in
                unsafe Glibc.poll(first, 2, left.pollMilliseconds)
            }
        }
        if count < 0 { return errno == EINTR ? .woken : .expired }
        if watched.1.revents != 0 { wakeUp.drain() }
        if watched.0.revents != 0 { return .ready }
        return watched.1.revents != 0 ? .woken : .expired
    }

    /// Waits until the socket is ready. At the deadline the server is asked to cancel and given `cancelGrace` to
    /// answer; after that the connection is given up.
    ///
    /// - Throws: the error of a connection given up: see `lost(_:)`.
    func wait(events: Int16) throws(PostgresError) {
        while true {
            switch poll(events: events, until: deadline) {
            case .ready: return
            case .woken: if interruption.reason != nil { grantGrace() }
            case .expired:
                guard ContinuousClock.now >= deadline else { continue }
                guard !hasGrace else { throw lost("the server did not answer in time") }
                interruption.request(.timeout)
                grantGrace()
            }
        }
    }

    /// Sets the deadline of one round trip.
    func startWaiting() {
        let now = ContinuousClock.now
        if hasGrace || interruption.reason != nil {
            hasGrace = true
            deadline = now + configuration.cancelGrace
        } else {
            deadline = min(callDeadline, now + configuration.statementTimeout + configuration.cancelGrace)
        }
    }

    private func grantGrace() {
        guard !hasGrace else { return }
        hasGrace = true
        deadline = ContinuousClock.now + configuration.cancelGrace
    }
}
