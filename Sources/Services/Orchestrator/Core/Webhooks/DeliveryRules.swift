/// What came of one attempt to deliver a webhook.
package enum DeliveryOutcome: Sendable, Hashable {
    /// The receiver answered.
    case answered(status: Int, retryAfterSeconds: Int?)
    /// No answer came: no such host, no connection, an end without an answer, or none in time.
    case unreachable(Unreachable)
    /// The address is one that webhooks are not sent to.
    case forbiddenAddress
    /// There is nothing to send any more, or nobody to send it to.
    case withdrawn(Withdrawal)
    /// No thread was free to look the receiver's name up: nothing was tried, and nothing learnt about the receiver.
    case resolverBusy

    package enum Unreachable: String, Sendable, Hashable, CaseIterable {
        case unresolved = "host_unresolved"
        case notConnected = "connect_failed"
        case timeout
        case brokenOff = "connection_broken"
        case tlsFailed = "tls_failed"
    }

    package enum Withdrawal: String, Sendable, Hashable, CaseIterable {
        case webhookRemoved = "webhook_removed"
        case webhookDisabled = "webhook_disabled"
        case eventRemoved = "event_removed"
        case secretUnreadable = "secret_unreadable"
        /// It was taken for the last attempt and never heard of again.
        case lastAttemptLost = "last_attempt_lost"
    }
}

/// What becomes of a delivery next, and what its receiver's circuit breaker learns.
package struct DeliveryRules: Sendable, Hashable {
    package enum Next: Sendable, Hashable {
        case delivered
        case retry(afterSeconds: Double)
        /// Back to where it was: this attempt does not count.
        case postponed(afterSeconds: Double)
        /// No further attempt; an operator may replay it.
        case failed
        /// The receiver is gone (410): no further attempt, and no other delivery of the same subscription.
        case failedForGood
    }

    package enum Health: Sendable, Hashable { case success, failure, ignored }

    /// Retry-After is honoured up to this.
    package static let waitMaxSeconds: Double = 86_400
    /// Even a jitter of nothing leaves a receiver this much rest.
    package static let waitMinSeconds: Double = 1
    static let growth: Double = 6

    package var attemptMax: Int
    /// The ceiling of the first wait; each further one is six times as high.
    package var firstWaitSeconds: Double

    /// - Parameter attemptMax: 8 by default, which with waits of 10 s to 24 h takes about a day in the mean.
    package init(attemptMax: Int = 8, firstWaitSeconds: Double = 10) {
        self.attemptMax = attemptMax
        self.firstWaitSeconds = firstWaitSeconds
    }

    /// - Parameters:
    ///   - attempt: counts from 1.
    ///   - jitter: from 0 up to 1.
    package func next(attempt: Int, _ outcome: DeliveryOutcome, jitter: Double) -> Next {
        switch outcome {
        case .answered(200..<300, _): return .delivered
        case .answered(410, _): return .failedForGood
        case .answered(_, let retryAfter): return retry(attempt, jitter, retryAfter)
        case .unreachable: return retry(attempt, jitter, nil)
        case .forbiddenAddress, .withdrawn: return .failed
        case .resolverBusy: return .postponed(afterSeconds: Self.waitMinSeconds)
        }
    }

    /// A receiver that refuses one request is well; one that fails or is silent is not.
    package static func health(_ outcome: DeliveryOutcome) -> Health {
        switch outcome {
        case .answered(500..., _), .unreachable: .failure
        case .answered: .success
        case .forbiddenAddress, .withdrawn, .resolverBusy: .ignored
        }
    }

    /// The highest the wait after `attempt` can be without a Retry-After.
    package func waitCeiling(attempt: Int) -> Double {
        var ceiling = firstWaitSeconds
        for _ in 1..<max(1, min(attempt, attemptMax)) { ceiling *= Self.growth }
        return min(ceiling, Self.waitMaxSeconds)
    }

    /// Source: "Exponential Backoff And Jitter", AWS Architecture Blog, 2015 (full jitter).
    private func retry(_ attempt: Int, _ jitter: Double, _ retryAfter: Int?) -> Next {
        guard attempt < attemptMax else { return .failed }
        let asked = min(Double(max(0, retryAfter ?? 0)), Self.waitMaxSeconds)
        return .retry(afterSeconds: max(waitCeiling(attempt: attempt) * jitter, Self.waitMinSeconds, asked))
    }
}
