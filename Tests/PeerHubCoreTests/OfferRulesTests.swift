import PeerHubCore
import Testing

@Suite struct `Offers of empty seats` {
    /// (offers, nobody is at it, the session's seconds) -> seconds after the last offer
    static let waits: [(Int, Bool, Double, Double)] = [
        // Nobody is at it: soon, then ever later, and no later than a third of the time.
        (1, true, 180, 15), (2, true, 180, 30), (3, true, 180, 60), (4, true, 180, 60),
        (4, true, 3600, 120), (100, true, 3600, 1200),
        // Somebody may be at it: a third of the time, alone.
        (1, false, 180, 60), (2, false, 180, 60), (1, false, 3600, 1200),
        // Never sooner than a vote may take that is on its way.
        (1, true, 8, 15), (1, false, 8, 15),
    ]

    @Test(arguments: waits.indices) func `come after a while`(index: Int) {
        let (offers, isIdle, term, wait) = Self.waits[index]
        #expect(OfferRules.wait(offers: offers, isIdle: isIdle, termSeconds: term) == wait)
    }

    @Test func `are the attempt that its holder works on, and a new one when there is no holder`() {
        #expect(OfferRules.attempt(offers: 3, isIdle: false, attemptsMax: 8) == 1)
        let attempts = (1...9).map { OfferRules.attempt(offers: $0, isIdle: true, attemptsMax: 8) }
        #expect(attempts == [2, 3, 4, 5, 6, 7, 8, 8, 8])
    }
}
