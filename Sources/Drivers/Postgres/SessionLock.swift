internal import CLibPQ
internal import DriverThreads
internal import Glibc
internal import Synchronization

/// One attempt to hold an advisory lock on a connection of its own, with a thread of its own that waits for the lock,
/// then watches the connection, because the lock is held exactly as long as the server keeps the session.
final class SessionLock: Sendable {
    /// How an attempt ended.
    enum Ending<R: Sendable>: Sendable {
        case returned(R)
        case threw(any Error)
        /// The connection ended while the body ran; the body was cancelled and awaited.
        case lost(PostgresError)
        case notAcquired(PostgresError)
        case cancelled
    }

    private struct State {
        var isStopping = false
        var failure: PostgresError?
    }

    private let configuration: PostgresConfiguration
    private let key: Int64
    private let interruption = Interruption()
    private let state = Mutex(State())
    /// Opens when the lock is held or cannot be had.
    private let settled = Latch()
    private let lost = Latch()
    private let ended = Latch()

    /// While held, the server is asked this often whether it is still there, and given this long to answer. A holder
    /// whose server has gone silent therefore knows after at most `heartbeat + heartbeatTimeout + cancelGrace`.
    static let heartbeat = Duration.seconds(1)
    static let heartbeatTimeout = Duration.seconds(2)
    private static let cancelGrace = Duration.milliseconds(250)
    /// The wait for the lock is renewed this often, which shows that the server is still there.
    private static let round = Duration.seconds(15)

    init(_ configuration: PostgresConfiguration, key: Int64) {
        var own = configuration
        own.lockTimeout = Self.round
        own.statementTimeout = Self.round * 2
        own.cancelGrace = Self.cancelGrace
        self.configuration = own
        self.key = key
    }

    /// Waits for the lock, runs `body` while it is held, and cancels it when the lock is lost. Use once.
    func hold<R: Sendable>(_ body: @escaping @Sendable () async throws -> R) async -> Ending<R> {
        startThread(name: "pg-lock") {
            self.live()
            self.settled.open()
            self.lost.open()
            self.ended.open()
        }
        await withTaskCancellationHandler {
            await settled.wait()
        } onCancel: {
            stop()
        }
        let isCancelled = Task.isCancelled
        let failure = state.withLock { $0.failure }
        if failure != nil || isCancelled || lost.isOpen {
            stop()
            await ended.wait()
            return isCancelled ? .cancelled : .notAcquired(failure ?? JobQueue.closed)
        }
        let ending = await run(body)
        stop()
        await ended.wait()
        return ending
    }

    private func run<R: Sendable>(_ body: @escaping @Sendable () async throws -> R) async -> Ending<R> {
        let outcome = await withTaskGroup(of: Ending<R>?.self) { group in
            group.addTask {
                do { return .returned(try await body()) } catch { return .threw(error) }
            }
            group.addTask {
                await self.lost.waitUnlessCancelled()
                return nil
            }
            var outcome: Ending<R>?
            for await ending in group {
                outcome = outcome ?? ending
                group.cancelAll()
            }
            return outcome
        }
        if lost.isOpen { return .lost(state.withLock { $0.failure } ?? JobQueue.closed) }
        return outcome ?? .cancelled
    }

    private func stop() {
        state.withLock { $0.isStopping = true }
        interruption.request(.closing)
        interruption.wakeUp.signal()
    }

    // MARK: The thread

    private var isStopping: Bool { state.withLock { $0.isStopping } }

    private func live() {
        do throws(PostgresError) {
            let connection = try PostgresConnection.open(configuration, interruption) { self.isStopping }
            guard try acquire(connection) else { return }
            settled.open()
            try watch(connection)
            try connection.call(ReleaseLock(key: key), within: Self.heartbeatTimeout)
        } catch {
            state.withLock { state in if !state.isStopping { state.failure = error } }
        }
    }

    /// False when the attempt is stopped while it waits.
    private func acquire(_ connection: PostgresConnection) throws(PostgresError) -> Bool {
        while !isStopping {
            do throws(PostgresError) {
                try connection.call(AcquireLock(key: key), within: Self.round * 2)
                return true
            } catch {
                // Another session holds the lock; whether this one is alive is known from the answer.
                guard error.code == .timeout, connection.isUsable else { throw error }
            }
        }
        return false
    }

    /// Returns when the lock should be released; throws when it is lost.
    private func watch(_ connection: PostgresConnection) throws(PostgresError) {
        while !isStopping {
            switch connection.poll(events: Int16(POLLIN), until: .now + Self.heartbeat) {
            case .woken: continue
            case .ready: try connection.receive()
            case .expired: try connection.heartbeat(within: Self.heartbeatTimeout)
            }
        }
    }
}

private struct AcquireLock: PostgresStatement {
    typealias Row = Void
    static let sql = "SELECT pg_advisory_lock($1)"
    static let isReadOnly = true
    let key: Int64

    func bind(to bindings: inout PostgresBindings) { bindings.int(Int(key)) }
}

private struct ReleaseLock: PostgresStatement {
    typealias Row = Void
    static let sql = "SELECT pg_advisory_unlock($1)"
    static let isReadOnly = true
    let key: Int64

    func bind(to bindings: inout PostgresBindings) { bindings.int(Int(key)) }
}

extension PostgresPool {
    /// Runs `body` while a session-level advisory lock is held, on a connection outside the pool. `body` is cancelled
    /// when the connection, and so the lock, is lost.
    ///
    /// - Throws: `body`'s error; `connectionLost` (or another code of the connection's end) when the lock was lost,
    ///   after `body` has ended; `connectFailed` or `authenticationFailed` when there was no connection;
    ///   `CancellationError`.
    package func withSessionLock<R: Sendable>(
        _ key: Int64, _ body: @escaping @Sendable () async throws -> R
    ) async throws -> R {
        switch await SessionLock(configuration, key: key).hold(body) {
        case .returned(let value): return value
        case .threw(let error): throw error
        case .lost(let error), .notAcquired(let error): throw error
        case .cancelled: throw CancellationError()
        }
    }
}
