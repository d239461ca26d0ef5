/// What came of asking for tokens.
package enum ReserveOutcome: Sendable, Equatable {
    case reserved(Reservation)
    /// The same was asked for before, and granted; what has become of it since is in its state.
    case replayed(Reservation)
    /// Nothing was held. `isReplay` when it had been denied before, which stays so.
    case denied(Reservation, BudgetDenial, isReplay: Bool)
    /// The request id was used before for something else. Nothing was held.
    case mismatch
}

/// What came of settling a reservation.
package enum SettleOutcome: Sendable, Equatable {
    /// Settled now.
    case settled(Reservation)
    /// It had been settled just so before.
    case replayed(Reservation)
    /// It had been settled otherwise before, or never held anything. Nothing was changed.
    case conflict(Reservation)
    case unknown
}

/// What came of setting a limit.
package enum LimitOutcome: Sendable, Equatable {
    case set(BudgetAccount)
    /// The account is at another version than the caller expected, or is not there (nil). Nothing was changed.
    case stale(BudgetAccount?)
}
