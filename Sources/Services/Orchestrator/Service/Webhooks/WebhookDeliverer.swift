internal import Bootstrap
internal import Coordination
internal import FoundationEssentials
internal import Logging
internal import ServiceLifecycle
internal import Storage

/// Sends what waits: takes due deliveries target by target, the tenants in turn, as many as there are slots, and parks
/// those of targets whose circuit breaker is open until its probes have found them well again.
///
/// Any number of replicas may do so at once; each delivery is taken by one of them.
struct WebhookDeliverer: Service {
    /// How soon something new is seen, and how soon more is taken after something was.
    static let interval: Duration = .milliseconds(250)
    static let busyInterval: Duration = .milliseconds(25)
    static let retryInterval: Duration = .seconds(1)
    /// Deliveries of one target that one pass parks or releases.
    static let parkMax = 500
    /// Beyond an attempt's time: for a name's lookup to get a thread and to answer, and for the result to be written.
    static let leaseMargin: Duration = .seconds(15)
    static let probesMax = 5

    let deliveries: DeliveryStore
    let attempt: WebhookAttempt
    let breakers: ReceiverBreakers
    let slots = DeliverySlots()
    let metrics: WebhookMetrics
    let logger: Logger

    private struct Job: Sendable {
        let delivery: LeasedDelivery
        let breaker: CircuitBreaker?
        let ticket: CircuitBreaker.Ticket?
    }

    /// Until shutdown; attempts under way are ended and written down.
    func run() async throws {
        let sender = attempt.sender
        sender.resolver.start()
        // Bounded by the slots, which a job holds from before it is taken.
        let (jobs, give) = AsyncStream<Job>.makeStream()
        await withDiscardingTaskGroup { group in
            group.addTask {
                defer { give.finish() }
                do { try await runUntilShutdown { try await takeAll(give) } } catch {
                    logger.error("webhooks are no longer sent", metadata: ["error": "\(error)"])
                }
            }
            for await job in jobs { group.addTask { await carryOut(job) } }
        }
        try await sender.clients.shutdown()
        try await sender.resolver.shutdown()
    }

    private func carryOut(_ job: Job) async {
        defer { slots.giveBack(1, of: job.delivery.target) }
        do {
            try await attempt.run(job.delivery, breaker: job.breaker, ticket: job.ticket)
        } catch is CancellationError {
            return
        } catch {
            logger.warning(
                "what came of a webhook's attempt was not written down; it is made again when its lease ends",
                metadata: ["delivery": "\(job.delivery.id)", "error": "\(error)"]
            )
        }
    }

    // MARK: Taking

    private func takeAll(_ jobs: AsyncStream<Job>.Continuation) async throws {
        var walk = BacklogWalk()
        while true {
            var rest = Self.interval
            do {
                let backlog = try await deliveries.backlog(&walk)
                if try await take(backlog, jobs) > 0 || walk.goesOn { rest = Self.busyInterval }
                metrics.show(oldestSeconds: walk.oldestSeconds, underWay: slots.underWay)
                try await attempt.sender.clients.sweep()
            } catch let error as CancellationError {
                throw error
            } catch {
                logger.warning("webhooks wait: what is due was not read", metadata: ["error": "\(error)"])
                rest = Self.retryInterval
            }
            try await Task.sleep(for: rest)
        }
    }

    /// How much was done.
    private func take(_ backlog: [TargetBacklog], _ jobs: AsyncStream<Job>.Continuation) async throws -> Int {
        var done = 0
        var ready: [TargetBacklog] = []
        var closed: [DeliveryTarget: CircuitBreaker] = [:]
        let turns = DeliveryTurns(backlog)
        for waiting in turns.order {
            let target = waiting.target
            let breaker = breakers.breaker(of: target)
            if let breaker, breaker.status.state != .closed {
                done += try await keep(waiting, breaker, jobs)
                continue
            }
            if waiting.hasParked { done += try await release(target) }
            if waiting.due > 0 { ready.append(waiting) }
            closed[target] = breaker
        }
        // Only now, when nothing but the lease can still fail, which gives them back.
        let leased = try await lease(takeSlots(for: ready, turns))
        for delivery in leased {
            jobs.yield(Job(delivery: delivery, breaker: closed[delivery.target], ticket: nil))
        }
        return done + leased.count
    }

    private func takeSlots(for ready: [TargetBacklog], _ turns: DeliveryTurns) -> [DeliveryGrant] {
        let free = DeliverySlots.max - slots.underWay
        var grants: [DeliveryGrant] = []
        for waiting in ready {
            let wanted = min(waiting.due, turns.share(of: free, for: waiting.target))
            let count = slots.take(wanted, for: waiting.target)
            if count > 0 { grants.append(DeliveryGrant(target: waiting.target, state: .pending, count: count)) }
        }
        return grants
    }

    /// Slots that found no delivery are given back, and all of them when it fails.
    private func lease(_ grants: [DeliveryGrant]) async throws -> [LeasedDelivery] {
        var spare = Dictionary(grants.map { ($0.target, $0.count) }) { $0 + $1 }
        defer { for (target, count) in spare where count > 0 { slots.giveBack(count, of: target) } }
        let leased = try await deliveries.lease(grants, for: attempt.sender.timeout + Self.leaseMargin)
        for delivery in leased { spare[delivery.target, default: 0] -= 1 }
        return leased
    }

    private func release(_ target: DeliveryTarget) async throws -> Int {
        let count = try await deliveries.release(target, limit: Self.parkMax)
        metrics.count(.released, count)
        return count
    }

    /// A target whose breaker is not closed: what is due is parked, and goes one by one as the breaker asks for probes.
    private func keep(
        _ waiting: TargetBacklog, _ breaker: CircuitBreaker, _ jobs: AsyncStream<Job>.Continuation
    ) async throws -> Int {
        let target = waiting.target
        let parked = waiting.due > 0 ? try await deliveries.park(target, limit: Self.parkMax) : 0
        metrics.count(.parked, parked)
        for _ in 1...Self.probesMax {
            guard slots.take(1, for: target) == 1 else { break }
            guard case .admitted(let ticket) = await breaker.admit() else {
                slots.giveBack(1, of: target)
                break
            }
            do {
                let probe = try await lease([DeliveryGrant(target: target, state: .parked, count: 1)])
                guard let delivery = probe.first else {
                    breaker.finish(ticket, .ignored)
                    break
                }
                jobs.yield(Job(delivery: delivery, breaker: breaker, ticket: ticket))
            } catch {
                breaker.finish(ticket, .ignored)
                throw error
            }
        }
        return parked
    }
}
