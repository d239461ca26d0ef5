internal import CLibPQ
internal import DriverThreads
internal import Glibc
package import Logging
internal import Synchronization

/// What a listener hears.
package enum PostgresNotification: Sendable, Hashable {
    case message(channel: String, payload: String)
    /// LISTEN has been established (the first time, or again after a gap), or messages were dropped because the reader
    /// was slow: something may have been missed, so read the tables again.
    case reconnected
}

/// LISTEN on a connection of its own, restored whenever it is lost.
package final class PostgresListener: Sendable {
    private struct State {
        var isStopping = false
        var hasStarted = false
        var isEstablished = false
        var lastID = 0
        var readers: [Int: NotificationBuffer] = [:]
    }

    private let configuration: PostgresConfiguration
    private let channels: [String]
    private let logger: Logger
    private let interruption = Interruption()
    private let ended = Latch()
    private let state = Mutex(State())

    /// Without a message for this long, the server is asked whether it is still there.
    private static let heartbeat = Duration.seconds(5)
    /// The backoff has long reached its cap here.
    private static let maxBackoffAttempt = 16

    package init(_ configuration: PostgresConfiguration, channels: [String], logger: Logger) {
        precondition(!channels.isEmpty, "A listener needs a channel.")
        self.configuration = configuration
        self.channels = channels
        self.logger = logger
    }

    /// Listens until the task is cancelled, reconnecting with backoff. All readers' streams end with it.
    ///
    /// - Throws: `closed` when the listener has run before.
    package func run() async throws {
        let starts = state.withLock { state in
            defer { state.hasStarted = true }
            return !state.hasStarted
        }
        guard starts else { throw PostgresError(.closed, "A listener runs once; make another.") }
        startThread(name: "pg-listen") {
            self.live()
            self.endReaders()
            self.ended.open()
        }
        await withTaskCancellationHandler {
            await ended.wait()
        } onCancel: {
            state.withLock { $0.isStopping = true }
            interruption.request(.closing)
            interruption.wakeUp.signal()
        }
    }

    /// A new reader's stream; any number may read. Messages that are equal and not yet read are delivered once. A
    /// reader that falls `NotificationBuffer.capacity` messages behind gets `.reconnected` instead of them.
    ///
    /// The first element is `.reconnected`, once LISTEN is established: read the tables then.
    package func notifications() -> AsyncStream<PostgresNotification> {
        let buffer = NotificationBuffer()
        let id = state.withLock { state in
            state.lastID += 1
            state.readers[state.lastID] = buffer
            if state.isStopping { buffer.finish() } else if state.isEstablished { buffer.offer(.reconnected) }
            return state.lastID
        }
        return AsyncStream {
            await buffer.next()
        } onCancel: {
            buffer.finish()
            self.state.withLock { _ = $0.readers.removeValue(forKey: id) }
        }
    }

    // MARK: The thread

    private var isStopping: Bool { state.withLock { $0.isStopping } }

    private func live() {
        let backoff = Backoff()
        var failures = 0
        while !isStopping {
            do throws(PostgresError) {
                let connection = try PostgresConnection.open(configuration, interruption) { self.isStopping }
                try connection.listen(to: channels)
                if failures > 0 { logger.info("database listener restored") }
                failures = 0
                announce(established: true)
                try hear(connection)
            } catch {
                if isStopping { return }
                if failures == 0 { logger.warning("database listener lost", metadata: ["error": "\(error)"]) }
                announce(established: false)
                pause(backoff.delay(attempt: failures))
                failures = min(failures + 1, Self.maxBackoffAttempt)
            }
        }
    }

    /// Delivers until the connection is lost (throws) or the listener stops.
    private func hear(_ connection: PostgresConnection) throws(PostgresError) {
        while !isStopping {
            for message in connection.takeNotifications() { offer(message) }
            let end = ContinuousClock.now + Self.heartbeat
            switch connection.poll(events: Int16(POLLIN), until: end) {
            case .woken: continue
            case .ready: try connection.receive()
            case .expired: try connection.heartbeat(within: configuration.statementTimeout)
            }
        }
    }

    private func announce(established: Bool) {
        let readers = state.withLock { state in
            state.isEstablished = established
            return state.readers.values.map { $0 }
        }
        guard established else { return }
        for reader in readers { reader.offer(.reconnected) }
    }

    private func offer(_ message: PostgresNotification) {
        for reader in state.withLock({ Array($0.readers.values) }) { reader.offer(message) }
    }

    private func endReaders() {
        let readers = state.withLock { state in
            state.isStopping = true
            return Array(state.readers.values)
        }
        for reader in readers { reader.finish() }
    }

    /// Waits before a reconnect, or until the listener stops.
    private func pause(_ duration: Duration) {
        let end = ContinuousClock.now + duration
        while !isStopping {
            let left = end - ContinuousClock.now
            let wakeUp = interruption.wakeUp
            if PostgresConnection.poll(socket: -1, events: 0, wakeUp: wakeUp, for: left) == .expired { return }
        }
    }
}
