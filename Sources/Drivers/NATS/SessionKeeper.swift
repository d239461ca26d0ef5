internal import DriverThreads
internal import Logging
internal import Synchronization

/// Dials, and dials again whenever the session has ended, with backoff and without end. One thread.
final class SessionKeeper: Sendable {
    /// What the keeper tells its owner. Called on the keeper's thread.
    struct Hooks: Sendable {
        let onReply: @Sendable (UInt64, NATSMessage) -> Void
        let began: @Sendable (Session) -> Void
        /// The session with that number has ended.
        let lost: @Sendable (Int, String) -> Void
    }

    private struct State {
        var isStopped = false
        var lost: (number: Int, reason: String)?
        var session: Session?
        /// Dials that were given up and still hang in the library.
        var hangingCount = 0
        /// Every dial has its own number, so that a late word of an abandoned one is told apart.
        var lastNumber = 0
    }

    /// One dial on a thread of its own, because the library has no bound for a TLS handshake.
    private final class Attempt: Sendable {
        enum State {
            case running
            case done(Result<Session, NATSError>)
            case abandoned
        }

        let state = Mutex(State.running)
        let finished = WakeUp()
    }

    /// More hanging dials than this are not piled up: each holds a thread, and libnats 3.4.1 even spins when a server
    /// falls silent in the middle of the handshake. They end when the server or the network ends their sockets.
    private static let hangingMax = 3

    private let configuration: NATSConfiguration
    private let logger: Logger
    private let callbacks: CallbackCount
    private let state = Mutex(State())
    private let wakeUp = WakeUp()

    init(_ configuration: NATSConfiguration, callbacks: CallbackCount, logger: Logger) {
        self.configuration = configuration
        self.callbacks = callbacks
        self.logger = logger
    }

    /// Starts the thread. `failed` is called when the first round of dialling fails; the thread ends then.
    func start(_ hooks: Hooks, failed: @escaping @Sendable (NATSError) -> Void) {
        startThread(name: "nats-keeper") {
            switch self.dial(hooks) {
            case .failure(let error): failed(error)
            case .success(let session):
                hooks.began(session)
                self.keep(hooks)
            }
        }
    }

    var session: Session? { state.withLock { $0.session } }

    /// Ends the thread. The session, if any, is the caller's to close.
    func stop() {
        state.withLock { $0.isStopped = true }
        wakeUp.raise()
    }

    /// Lets go of the session, so that its memory is released with the last user.
    func forget() {
        state.withLock { $0.session = nil }
    }

    private func keep(_ hooks: Hooks) {
        while true {
            wakeUp.wait()
            let (isStopped, lost) = state.withLock { state -> (Bool, (number: Int, reason: String)?) in
                guard !state.isStopped, let lost = state.lost else { return (state.isStopped, nil) }
                state.lost = nil
                guard lost.number == state.session?.number else { return (false, nil) }
                state.session = nil
                return (false, lost)
            }
            if isStopped { return }
            guard let lost else { continue }
            hooks.lost(lost.number, lost.reason)
            guard let session = redial(hooks) else { return }
            hooks.began(session)
        }
    }

    /// Tries until it succeeds; nil after `stop`.
    private func redial(_ hooks: Hooks) -> Session? {
        let backoff = Backoff(base: configuration.reconnectBase, cap: configuration.reconnectCap)
        var attempt = 0
        while true {
            let next = ContinuousClock.now + backoff.delay(attempt: attempt)
            while ContinuousClock.now < next {
                if state.withLock({ $0.isStopped }) { return nil }
                wakeUp.wait(until: next)
            }
            switch dial(hooks) {
            case .success(let session):
                return session
            case .failure(let error):
                if state.withLock({ $0.isStopped }) { return nil }
                // Doubling distances keep the log short during a long outage.
                if attempt & (attempt + 1) == 0 {
                    logger.warning(
                        "NATS cannot be reached; still trying",
                        metadata: ["attempt": "\(attempt + 1)", "error": "\(error)"]
                    )
                }
                attempt += 1
            }
        }
    }

    private func dial(_ hooks: Hooks) -> Result<Session, NATSError> {
        let (number, hangingCount) = state.withLock { state in
            state.lastNumber += 1
            return (state.lastNumber, state.hangingCount)
        }
        guard hangingCount < Self.hangingMax else {
            return .failure(
                NATSError(.connectFailed, "\(hangingCount) handshakes with NATS hang; waiting for one to end.")
            )
        }
        let attempt = Attempt()
        let sessionHooks = SessionHooks(
            onReply: hooks.onReply,
            onClosed: { self.sessionClosed(number, $0) },
            onComplaint: { self.logger.warning("NATS complained", metadata: ["complaint": "\($0)"]) }
        )
        startThread(name: "nats-dial") { [configuration, callbacks] in
            let result: Result<Session, NATSError>
            do throws(NATSError) {
                result = .success(
                    try Session.open(configuration, number: number, callbacks: callbacks, hooks: sessionHooks)
                )
            } catch {
                result = .failure(error)
            }
            // An abandoned session is closed by its deinit, here.
            let wasAbandoned = attempt.state.withLock { state in
                guard case .running = state else { return true }
                state = .done(result)
                return false
            }
            if wasAbandoned { self.state.withLock { $0.hangingCount -= 1 } }
            attempt.finished.raise()
        }
        let result = outcome(of: attempt)
        guard case .success(let session) = result else { return result }
        let isStopped = state.withLock { state in
            if !state.isStopped { state.session = session }
            return state.isStopped
        }
        if isStopped {
            // Nobody else knows of it.
            session.close()
            return .failure(CallLedger.closed)
        }
        // It may have ended before it was known here.
        wakeUp.raise()
        return result
    }

    private func outcome(of attempt: Attempt) -> Result<Session, NATSError> {
        let limit = configuration.connectTimeout * max(1, configuration.servers.count) + .seconds(1)
        attempt.finished.wait(until: .now + limit)
        return attempt.state.withLock { attempt in
            if case .done(let result) = attempt { return result }
            attempt = .abandoned
            state.withLock { $0.hangingCount += 1 }
            return .failure(
                NATSError(.connectFailed, "The NATS server accepted a connection but did not finish the handshake.")
            )
        }
    }

    private func sessionClosed(_ number: Int, _ reason: String) {
        state.withLock { state in
            // Abandoned dials end late; only word of the newest counts.
            if number >= state.lost?.number ?? 0 { state.lost = (number, reason) }
        }
        wakeUp.raise()
    }
}
