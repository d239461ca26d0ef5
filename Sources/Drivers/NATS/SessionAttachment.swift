/// What lives longer than one session and attaches itself to each: subscriptions and pull consumers.
protocol SessionAttachment: AnyObject, Sendable {
    /// A session is there. Idempotent for the same session. Runs on the writer thread.
    func attach(to session: Session)
    /// The session with that number has ended. Runs on the keeper's thread.
    func sessionLost(_ number: Int)
    /// Does what is due and says when it wants to be called next. Runs on the deadline thread.
    func tick(_ now: ContinuousClock.Instant) -> ContinuousClock.Instant?
    /// The connection shuts down: ask for nothing more, and end the sequence.
    func connectionCloses()
    /// Whether there is something to wait for after `connectionCloses`. Does what is due.
    func isEnding(_ now: ContinuousClock.Instant) -> Bool
}

extension SessionAttachment {
    func isEnding(_ now: ContinuousClock.Instant) -> Bool { false }
}
