internal import Contracts
internal import Logging

/// Notices between those who share circuit breakers. They save each other waiting for the next look at the shared
/// record, and no more.
extension MessageBus {
    /// Says that this process made a transition of the breaker's shared record.
    package func tellOfBreaker(_ name: String, version: Int) {
        do throws(BusError) {
            try send(BreakerNotice(name: name, version: version), on: .breakers)
        } catch {
            logger.debug("others were not told of a breaker", metadata: ["error": "\(error)"])
        }
    }

    /// Hands every notice to `heard`, until cancelled.
    package func hearOfBreakers(_ heard: (_ name: String, _ version: Int) -> Void) async throws {
        for await notice in try subscribe(.breakers) { heard(notice.name, notice.version) }
    }
}
