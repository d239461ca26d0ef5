internal import Bootstrap
internal import HTTPEdge
internal import Logging
internal import ServiceLifecycle

/// Looks after the signing keys while the service runs: makes the next one in time and learns of those others made.
struct SigningKeyKeeper: Service {
    static let every: Duration = .seconds(30)

    let keyring: SigningKeyring
    let logger: Logger

    func run() async throws {
        try await runUntilShutdown {
            var isAway = false
            while true {
                do {
                    try await keyring.keepUp()
                    isAway = false
                } catch is CancellationError {
                    throw CancellationError()
                } catch {
                    if !isAway { logger.warning("the signing keys cannot be read", metadata: ["error": "\(error)"]) }
                    isAway = true
                }
                try await Task.sleep(for: Self.every)
            }
        }
    }
}
