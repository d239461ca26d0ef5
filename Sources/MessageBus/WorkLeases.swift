package import Contracts
internal import Logging
internal import NATS
internal import Synchronization

/// An agent's hold on the work of its roles: never more than `slots` items in hand over all roles together, and no
/// request at the server that an idle agent would serve better.
///
/// Every role's consumer may use all slots. Work that arrives for a second role when the last slot has just been
/// taken goes back at once, and the credit it came on stays parked until a slot is free, so that a busy agent returns
/// at most as many items as it has slots and then asks for no more. A limit below the slots works the same way.
package final class WorkLeases: Sendable {
    package typealias Lease = Received<WorkItem>

    private struct State {
        var heldCount = 0
        var limit: Int
        var roles: [String: RoleCredits] = [:]
    }

    /// One role's use of the shared slots. Asked for at the server or buffered is what neither counts.
    private struct RoleCredits {
        var heldCount = 0
        var parked: [Delivery] = []
    }

    package let slots: Int
    private let bus: MessageBus
    private let pulls: [String: PullConsumer]
    private let state: Mutex<State>

    init(bus: MessageBus, slots: Int, pulls: [String: PullConsumer]) {
        self.bus = bus
        self.slots = slots
        self.pulls = pulls
        state = Mutex(State(limit: slots))
    }

    /// Hands every item to `take` as it comes, until cancelled or `close` is called. What cannot be read is a dead
    /// letter. The receiver settles each lease with `acknowledge` or `release`.
    package func run(_ take: @escaping @Sendable ([Lease]) -> Void) async throws {
        try await withThrowingTaskGroup(of: Void.self) { group in
            for pull in pulls.values {
                group.addTask { await self.bus.repairWhenTroubled(pull) }
                group.addTask { try await self.lease(from: pull, take) }
            }
            try await group.waitForAll()
        }
    }

    /// The items are done with: the server forgets them and their slots are free.
    package func acknowledge(_ leases: [Lease]) {
        for (pull, deliveries) in byPull(leases) {
            bus.settle("acknowledging work") { () throws(NATSError) in try pull.acknowledge(deliveries) }
        }
        free(leases)
    }

    /// Gives an item back for others to take, not before `delay`.
    package func release(_ lease: Lease, after delay: Duration = .zero) {
        guard let pull = pulls[lease.delivery.consumer] else { return }
        bus.settle("releasing work") { () throws(NATSError) in try pull.reject(lease.delivery, delay: delay) }
        free([lease])
    }

    /// Frees the slot of a delivery that another one of the same message has replaced, without a word to the server.
    package func abandon(_ lease: Lease) {
        pulls[lease.delivery.consumer]?.abandon(lease.delivery)
        free([lease])
    }

    /// Still at work on them: the server waits another `BusTopology.ackWait`.
    package func extend(_ leases: [Lease]) {
        for (pull, deliveries) in byPull(leases) {
            bus.settle("extending work") { () throws(NATSError) in
                for delivery in deliveries { try pull.extend(delivery) }
            }
        }
    }

    /// From now on holds no more than `limit` items at once, 0 to `slots`; those in hand above it stay. What the server
    /// sends all the same, having been asked for it before, goes back at once.
    package func limit(to limit: Int) {
        let unparked = state.withLock { state in
            state.limit = max(0, min(limit, slots))
            return takeUnparked(&state)
        }
        for delivery in unparked { pulls[delivery.consumer]?.abandon(delivery) }
    }

    /// Takes no more work; what was not handed to `take` goes back at once. Items in hand can still be settled.
    ///
    /// Waits one round trip, at most two seconds: what the server had already sent has come by then, and goes back too.
    package func close() async {
        for pull in pulls.values { pull.close() }
        do {
            _ = try await bus.connection.roundTripTime(timeout: .seconds(2))
        } catch {
            bus.logger.debug("closed without a server", metadata: ["error": "\(error)"])
        }
    }

    /// Items handed out and not yet settled.
    package var heldCount: Int { state.withLock { $0.heldCount } }

    // MARK: Taking

    private func lease(from pull: PullConsumer, _ take: @Sendable ([Lease]) -> Void) async throws {
        while true {
            let deliveries: [Delivery]
            do {
                deliveries = try await pull.nextBatch(max: slots)
            } catch {
                if error.code == .cancelled { throw CancellationError() }
                throw BusError(error, doing: "Leasing work")
            }
            if deliveries.isEmpty { return }
            var leases: [Lease] = []
            leases.reserveCapacity(deliveries.count)
            for delivery in deliveries {
                guard hold(delivery) else { continue }
                switch delivery.decode(WorkItem.self) {
                case .success(let lease): leases.append(lease)
                case .failure(let error):
                    await bus.giveUp(delivery, on: pull, reason: GiveUpReason.undecodable, error: error.description)
                    free(consumer: delivery.consumer, count: 1)
                }
            }
            bus.counters.change { $0.consumed += leases.count }
            if !leases.isEmpty { take(leases) }
        }
    }

    /// True when there was a slot for it. Otherwise it is on its way back and its credit is parked.
    private func hold(_ delivery: Delivery) -> Bool {
        let isHeld = state.withLock { state in
            if state.heldCount < state.limit {
                state.heldCount += 1
                state.roles[delivery.consumer, default: RoleCredits()].heldCount += 1
                return true
            }
            state.roles[delivery.consumer, default: RoleCredits()].parked.append(delivery)
            return false
        }
        if !isHeld { bus.returnUnsettled(delivery) }
        return isHeld
    }

    // MARK: Settling

    private func byPull(_ leases: [Lease]) -> [(PullConsumer, [Delivery])] {
        if pulls.count == 1, let pull = pulls.values.first { return [(pull, leases.map(\.delivery))] }
        return Dictionary(grouping: leases.map(\.delivery), by: \.consumer).compactMap { consumer, deliveries in
            pulls[consumer].map { ($0, deliveries) }
        }
    }

    private func free(_ leases: [Lease]) {
        if pulls.count == 1, let lease = leases.first {
            return free(consumer: lease.delivery.consumer, count: leases.count)
        }
        for (consumer, leases) in Dictionary(grouping: leases, by: \.delivery.consumer) {
            free(consumer: consumer, count: leases.count)
        }
    }

    private func free(consumer: String, count: Int) {
        let unparked = state.withLock { state -> [Delivery] in
            state.heldCount -= count
            state.roles[consumer]?.heldCount -= count
            return takeUnparked(&state)
        }
        for delivery in unparked { pulls[delivery.consumer]?.abandon(delivery) }
    }

    /// Each role may ask again for as much as there are free slots, and no more than that.
    private func takeUnparked(_ state: inout State) -> [Delivery] {
        let freeCount = state.limit - state.heldCount
        var unparked: [Delivery] = []
        for (consumer, credits) in state.roles where !credits.parked.isEmpty {
            let askingCount = slots - credits.heldCount - credits.parked.count
            let count = min(credits.parked.count, max(0, freeCount - askingCount))
            unparked += credits.parked.suffix(count)
            state.roles[consumer]?.parked.removeLast(count)
        }
        return unparked
    }
}

extension MessageBus {
    /// Leases work of the roles, `slots` items at once over all of them. Waits until every role's consumer exists.
    package func leaseWork(of roles: [AgentRole], slots: Int) async throws -> WorkLeases {
        precondition(slots > 0 && !roles.isEmpty, "An agent has at least one slot and one role.")
        var pulls: [String: PullConsumer] = [:]
        for role in Set(roles) {
            let consumer = BusTopology.work(role)
            try await ensureUntilThere(consumer)
            pulls[consumer.name] = try openPull(consumer, capacity: slots, holdCredits: true)
        }
        return WorkLeases(bus: self, slots: slots, pulls: pulls)
    }

    /// Hands a message back while its credit stays taken.
    func returnUnsettled(_ delivery: Delivery) {
        guard let reply = delivery.message.reply else { return }
        settle("returning surplus work") { () throws(NATSError) in
            try connection.publish(reply, headers: [:], payload: Array("-NAK".utf8))
        }
    }
}
