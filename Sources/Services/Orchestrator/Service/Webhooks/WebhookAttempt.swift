internal import Bootstrap
internal import Contracts
internal import Coordination
internal import FoundationEssentials
internal import Logging
internal import OrchestratorCore
internal import Storage

/// Carries out one attempt of one delivery, from the receiver's breaker to the row that says what came of it.
struct WebhookAttempt: Sendable {
    /// What a result's row is tried to be written; after that the lease ends and the delivery is attempted again.
    static let writesMax = 3
    static let writeRest: Duration = .milliseconds(200)

    let deliveries: DeliveryStore
    let webhooks: WebhookStore
    let secrets: WebhookSecrets
    let sender: WebhookSender
    let rules: DeliveryRules
    let metrics: WebhookMetrics
    let tracer: Tracer
    let logger: Logger

    /// - Parameters:
    ///   - breaker: the receiver's; nil when it has none.
    ///   - ticket: of a probe that the breaker has let through already.
    func run(_ delivery: LeasedDelivery, breaker: CircuitBreaker?, ticket: CircuitBreaker.Ticket?) async throws {
        var pass = ticket
        if pass == nil, let breaker {
            switch await breaker.admit() {
            case .admitted(let admitted): pass = admitted
            case .refused: return try await park(delivery)
            }
        }
        let (start, startedAt) = (ContinuousClock.now, Date())
        let span = tracer.begin(below: delivery.trace)
        let reply: WebhookSender.Reply
        do {
            reply = try await send(delivery, trace: span?.traceparent ?? delivery.trace)
        } catch {
            if let pass { breaker?.finish(pass, .ignored) }
            throw error
        }
        if let pass { breaker?.finish(pass, Self.breakerOutcome(reply.outcome)) }
        let result = Self.result(reply, elapsed: .now - start)
        tracer.end(
            "webhook delivery", span, .client, from: startedAt, attributes: Self.attributes(delivery, result),
            isFailed: result.error != nil)
        try await conclude(delivery, reply.outcome, result)
    }

    private func park(_ delivery: LeasedDelivery) async throws {
        try await deliveries.park(delivery)
        metrics.count(.parked)
    }

    // MARK: Sending

    private func send(_ delivery: LeasedDelivery, trace: String?) async throws -> WebhookSender.Reply {
        guard delivery.attempt <= rules.attemptMax else { return .init(.withdrawn(.lastAttemptLost)) }
        guard let event = delivery.event else { return .init(.withdrawn(.eventRemoved)) }
        guard let url = WebhookURL(delivery.url) else { return .init(.forbiddenAddress) }
        guard let receiver = try await receiver(of: delivery) else {
            return .init(.withdrawn(delivery.webhook == nil ? .secretUnreadable : .webhookRemoved))
        }
        guard receiver.isActive else { return .init(.withdrawn(.webhookDisabled)) }
        let now = Date()
        let keys = secrets.open(receiver.secret, of: delivery.tenant, now: now)
        guard !keys.isEmpty else { return .init(.withdrawn(.secretUnreadable)) }
        let body = WebhookBody.bytes(delivery, event)
        var headers = WebhookSignature.headers(
            id: delivery.id.uuidString.lowercased(), at: now, body: body, secrets: keys)
        if let trace { headers.append((name: "traceparent", value: trace)) }
        return try await sender.post(body, to: url, for: delivery.tenant, headers: headers, attempt: delivery.attempt)
    }

    /// The tenant's first callback makes the secret that signs it; whoever wants to check it asks for another.
    private func receiver(of delivery: LeasedDelivery) async throws -> LeasedDelivery.Receiver? {
        if let receiver = delivery.receiver { return receiver }
        guard delivery.webhook == nil else { return nil }
        guard let made = try secrets.make(for: delivery.tenant) else { return nil }
        let now = Date()
        _ = try await webhooks.add(
            Webhook(
                id: UUID(), tenant: delivery.tenant, purpose: .callbacks,
                secret: SealedSecret(sealed: made.sealed, changedAt: now), createdBy: "orchestrator", createdAt: now
            )
        )
        return try await webhooks.find(.callbacks, tenant: delivery.tenant)
            .map { LeasedDelivery.Receiver(isActive: true, secret: $0.secret) }
    }

    private static func breakerOutcome(_ outcome: DeliveryOutcome) -> BreakerOutcome {
        switch DeliveryRules.health(outcome) {
        case .success: .success
        case .failure: .failure
        case .ignored: .ignored
        }
    }

    // MARK: Afterwards

    private func conclude(
        _ delivery: LeasedDelivery, _ outcome: DeliveryOutcome, _ result: WebhookDelivery.Result
    ) async throws {
        let next = rules.next(attempt: delivery.attempt, outcome, jitter: Double.random(in: 0..<1))
        switch next {
        case .delivered: try await write(delivery, .delivered, afterSeconds: 0, result, .delivered)
        case .retry(let seconds): try await write(delivery, .pending, afterSeconds: seconds, result, .retrying)
        case .postponed(let seconds):
            try await deliveries.postpone(delivery, afterSeconds: seconds)
            metrics.count(.postponed)
        case .failed: try await write(delivery, .failed, afterSeconds: 0, result, .failed)
        case .failedForGood:
            if let webhook = delivery.webhook {
                try await webhooks.disable(webhook, reason: "The receiver answered 410 Gone.")
                logger.notice("a webhook was disabled: its receiver is gone", metadata: Self.metadata(delivery))
            }
            try await write(delivery, .failed, afterSeconds: 0, result, .failed)
        }
    }

    private func write(
        _ delivery: LeasedDelivery, _ state: WebhookDelivery.State, afterSeconds: Double,
        _ result: WebhookDelivery.Result, _ event: WebhookMetrics.Event
    ) async throws {
        for attempt in 1...Self.writesMax {
            do {
                if try await deliveries.conclude(delivery, state, afterSeconds: afterSeconds, result) {
                    metrics.count(event)
                }
                break
            } catch  where attempt < Self.writesMax {
                try await Task.sleep(for: Self.writeRest)
            }
        }
        if state == .failed {
            var metadata = Self.metadata(delivery)
            metadata["reason"] = "\(result.error ?? "")"
            logger.notice("a webhook was not delivered", metadata: metadata)
        }
    }

    private static func result(_ reply: WebhookSender.Reply, elapsed: Duration) -> WebhookDelivery.Result {
        var result = result(reply)
        result.milliseconds = Int(elapsed / .milliseconds(1))
        return result
    }

    private static func result(_ reply: WebhookSender.Reply) -> WebhookDelivery.Result {
        switch reply.outcome {
        case .answered(let status, _):
            let isFine = (200..<300).contains(status)
            return WebhookDelivery.Result(
                status: status, error: isFine ? nil : "status_\(status)", response: reply.response)
        case .unreachable(let reason): return WebhookDelivery.Result(error: reason.rawValue)
        case .forbiddenAddress: return WebhookDelivery.Result(error: "address_forbidden")
        case .withdrawn(let reason): return WebhookDelivery.Result(error: reason.rawValue)
        // Told to the trace alone: the row keeps what its last attempt brought.
        case .resolverBusy: return WebhookDelivery.Result(error: "resolver_busy")
        }
    }

    /// By OpenTelemetry's names for HTTP clients, where it has one.
    private static func attributes(
        _ delivery: LeasedDelivery, _ result: WebhookDelivery.Result
    ) -> [(String, String)] {
        var attributes = [
            ("http.request.method", "POST"), ("server.address", delivery.target.host), ("task_id", "\(delivery.task)"),
            ("kind", delivery.kind), ("attempt", "\(delivery.attempt)"),
        ]
        if let status = result.status { attributes.append(("http.response.status_code", "\(status)")) }
        if let error = result.error { attributes.append(("error.type", error)) }
        return attributes
    }

    private static func metadata(_ delivery: LeasedDelivery) -> Logger.Metadata {
        [
            "tenant": "\(delivery.tenant)", "delivery": "\(delivery.id)", "task": "\(delivery.task)",
            "host": "\(delivery.target.host)", "attempt": "\(delivery.attempt)",
        ]
    }
}
