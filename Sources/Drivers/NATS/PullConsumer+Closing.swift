internal import Synchronization

extension PullConsumer {
    /// What is done between `close` and letting the subscription go.
    ///
    /// The server answers requests that were made before, and has no word to take one back. What it has chosen for an
    /// inbox that is gone by the time it writes is lost until its acknowledgement is overdue. So the inbox stays until
    /// all that was asked for has come, or nothing has come for a while; and what comes is kept until then, since the
    /// server would only send it here again.
    struct Closing {
        /// How long nothing may come, and how long the whole may take.
        static let quiet = Duration.milliseconds(250)
        static let timeMax = Duration.seconds(1)

        private(set) var returned: [String]
        private var quietAt: ContinuousClock.Instant
        private let overAt: ContinuousClock.Instant

        init(_ returned: [String], _ now: ContinuousClock.Instant) {
            self.returned = returned
            quietAt = now + Self.quiet
            overAt = now + Self.timeMax
        }

        mutating func take(_ reply: String?, _ now: ContinuousClock.Instant) {
            if let reply { returned.append(reply) }
            quietAt = now + Self.quiet
        }

        var endsAt: ContinuousClock.Instant { min(quietAt, overAt) }
    }

    /// Gives up: what is buffered, and what still comes, goes back to the server for others to take, within a second at
    /// most. Idempotent. What was handed out can still be acknowledged.
    package func close() {
        let (waiter, isFirst) = state.withLock { state -> (Waiter?, Bool) in
            guard !state.isClosed else { return (nil, false) }
            state.isClosed = true
            state.closing = Closing(state.buffer.compactMap(\.message.reply), .now)
            state.buffer = []
            state.ledger.dropBuffer()
            defer { state.waiter = nil }
            return (state.waiter, true)
        }
        guard isFirst else { return }
        waiter?.continuation.resume(returning: .success([]))
        reports.finish()
        wakeForEnd()
    }

    func isEnding(_ now: ContinuousClock.Instant) -> Bool { endWhenQuiet(now) != nil }

    /// Lets the subscription go when its time has come; says when to ask again, nil when there is nothing to end.
    func endWhenQuiet(_ now: ContinuousClock.Instant) -> ContinuousClock.Instant? {
        let (closing, attached, id, next) = state.withLock {
            state -> (Closing?, Attached?, Int?, ContinuousClock.Instant?) in
            guard let closing = state.closing else { return (nil, nil, nil, nil) }
            guard state.attached == nil || state.ledger.requested == 0 || now >= closing.endsAt else {
                return (nil, nil, nil, closing.endsAt)
            }
            state.epoch += 1
            state.ledger.reset(now)
            defer {
                state.closing = nil
                state.attached = nil
                state.id = nil
            }
            return (closing, state.attached, state.id, nil)
        }
        guard let closing else { return next }
        if let id { connection.detach(id) }
        if let attached { connection.retire(attached.subscription, in: attached.session) }
        for reply in closing.returned { giveBack(reply) }
        return nil
    }

    func wakeForEnd() {
        guard state.withLock({ $0.closing != nil }), let next = endWhenQuiet(.now) else { return }
        connection.deadlines.wake(by: next)
    }
}
