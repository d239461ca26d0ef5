/// When a seat that nobody has voted for is offered once more: a pure function of what is known of it.
///
/// A seat whose work nobody has in hand, while no vote waits to be counted either, has lost it: its reviewer took it
/// and said nothing, or messages were lost. It is offered after 15, 30, 60 seconds and so on, counted from the last
/// offer. As long as somebody may still be at it, it is offered when a third of the session's time has passed since.
package enum OfferRules {
    /// Work offered more recently than this may be on its way, and so may its vote.
    package static let quietSeconds: Double = 15
    /// Of the session's time: whoever is only slow has at least that much alone.
    static let share: Double = 1 / 3

    /// How long after its last offer a seat is offered again.
    ///
    /// - Parameters:
    ///   - offers: how often the session's empty seats were offered, from 1.
    ///   - isIdle: nobody has work of the seat's role in hand, and none waits.
    ///   - termSeconds: from the session's opening to its deadline.
    package static func wait(offers: Int, isIdle: Bool, termSeconds: Double) -> Double {
        let patience = max(quietSeconds, termSeconds * share)
        guard isIdle else { return patience }
        return min(quietSeconds * Double(1 << min(max(offers - 1, 0), 20)), patience)
    }

    /// Which attempt an offer is. While somebody may hold the work it is the first, which its holder knows already and
    /// goes on with; otherwise a new one.
    package static func attempt(offers: Int, isIdle: Bool, attemptsMax: Int) -> Int {
        isIdle ? min(max(offers, 1) + 1, attemptsMax) : 1
    }
}
