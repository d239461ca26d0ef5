internal import DriverThreads
internal import Logging

/// The life of one pool connection's thread: connect, serve jobs, reconnect with backoff when the connection is lost,
/// end with the queue.
final class PoolWorker: Sendable {
    private let queue: JobQueue
    private let configuration: PostgresConfiguration
    private let logger: Logger
    private let interruption = Interruption()

    /// An idle connection's socket is looked at this often, so that a lost one is replaced before it is needed.
    private static let idleCheck = Duration.seconds(1)
    /// The backoff has long reached its cap here.
    private static let maxBackoffAttempt = 16

    init(queue: JobQueue, configuration: PostgresConfiguration, logger: Logger) {
        self.queue = queue
        self.configuration = configuration
        self.logger = logger
    }

    func start(number: Int) {
        queue.workerStarts(interruption)
        startThread(name: "pg-\(number)") {
            self.live()
            self.queue.workerEnds()
        }
    }

    private func live() {
        let backoff = Backoff()
        var failures = 0
        while !queue.isStopping {
            do throws(PostgresError) {
                let connection = try PostgresConnection.open(configuration, interruption) { self.queue.isStopping }
                if queue.connectionMade() { logger.info("database connection restored") }
                failures = 0
                serve(connection)
                queue.connectionEnded()
                queue.steppedAway()
            } catch {
                if queue.isStopping { return }
                if queue.connectionFailed(error) {
                    logger.warning("database connection failed", metadata: ["error": "\(error)"])
                }
                guard queue.pause(backoff.delay(attempt: failures)) else { return }
                failures = min(failures + 1, Self.maxBackoffAttempt)
            }
        }
    }

    /// Serves jobs until the connection is given up or the queue ends.
    private func serve(_ connection: PostgresConnection) {
        while connection.isUsable {
            switch queue.next(within: Self.idleCheck) {
            case .ended: return
            case .nothing:
                if !connection.isAlive() { logger.info("idle database connection was closed by the server") }
            case .job(let job):
                guard connection.isAlive() else { return queue.putBack(job) }
                job.run(on: connection)
            }
        }
    }
}
