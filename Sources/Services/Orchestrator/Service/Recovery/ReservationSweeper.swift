internal import Logging
internal import Storage

/// Ends holds whose time is over, so that an abandoned reservation keeps nobody's tokens.
///
/// Any number of replicas may sweep at once: what one has locked the others pass over.
struct ReservationSweeper: Sendable {
    static let interval: Duration = .seconds(1)
    /// Holds ended in one transaction; a full sweep is followed by the next at once.
    static let batchMax = 500
    /// Who the ledger says ended them.
    static let principal = "reservation-sweeper"

    let budgets: BudgetStore
    let logger: Logger

    /// Sweeps until cancelled.
    func run() async throws {
        while true {
            do {
                while try await sweep() == Self.batchMax {}
            } catch let error as CancellationError {
                throw error
            } catch {
                logger.warning("a sweep of reservations failed", metadata: ["error": "\(error)"])
            }
            try await Task.sleep(for: Self.interval)
        }
    }

    /// How many holds were ended.
    func sweep() async throws -> Int {
        let count = try await budgets.sweepExpired(limit: Self.batchMax, principal: Self.principal)
        if count > 0 { logger.info("ended holds whose time was over", metadata: ["count": "\(count)"]) }
        return count
    }
}
