package import Contracts

/// Who may be handed how much work: the leading dispatcher's book of slots, kept by role and tenant.
///
/// Decides late: about as much work is out as agents have slots, so that what JetStream holds is short and a tenant
/// with 100,000 queued tasks delays another tenant's one task by no more than one round. Within a role, tenants take
/// turns (weighted round-robin); one slot in eight is kept from any single tenant, so that a newcomer starts at once.
package struct DispatchBook: Sendable {
    package typealias Key = DispatchHint.Count

    package struct Limits: Sendable {
        /// Work out for a role whose agents did not announce slots.
        package var windowDefault = 64
        /// The most work out for one tenant and role, whatever the slots.
        package var tenantWindowMax = 500
        /// The most tasks of one tenant at work over all roles.
        package var tenantConcurrency = Int.max
        /// The most tasks granted in one plan.
        package var grantMax = 256
        package var weights: [TenantID: Int] = [:]

        package init() {}
    }

    /// Up to `count` tasks of that role and tenant may be handed out.
    package struct Grant: Sendable, Equatable {
        package let key: Key
        package let count: Int
    }

    /// What Postgres says.
    package struct Snapshot: Sendable {
        package let inFlight: [Key: Int]
        /// Queued and due, each counted up to `queuedMax` only.
        package let queued: [Key: Int]
        package let queuedMax: Int
        /// Held back by limits on labels: they are asked for again whenever a task of the tenant ends.
        package let held: [Key: Int]

        package init(inFlight: [Key: Int], queued: [Key: Int], queuedMax: Int = .max, held: [Key: Int] = [:]) {
            self.inFlight = inFlight
            self.queued = queued
            self.held = held
            self.queuedMax = queuedMax
        }
    }

    private struct Account: Sendable {
        var inFlight = 0
        var queued = 0
    }

    private let limits: Limits
    private var slots: [AgentRole: Int] = [:]
    private var roles: [AgentRole: [TenantID: Account]] = [:]
    /// The tenant that was served last in each role; the next round starts after it.
    private var lastServed: [AgentRole: TenantID] = [:]
    private var inFlightByTenant: [TenantID: Int] = [:]
    private var inFlightByRole: [AgentRole: Int] = [:]
    /// For which roles tasks of a tenant are held back by its limits on labels.
    private var held: [TenantID: Set<AgentRole>] = [:]

    package init(limits: Limits) {
        self.limits = limits
    }

    /// Replaces the counts by what Postgres says.
    package mutating func resync(_ snapshot: Snapshot) {
        roles = [:]
        inFlightByTenant = [:]
        inFlightByRole = [:]
        held = [:]
        for (key, count) in snapshot.inFlight {
            roles[key.role, default: [:]][key.tenant, default: Account()].inFlight = count
            shift(key, count)
        }
        for (key, count) in snapshot.queued {
            let isCut = count >= snapshot.queuedMax
            roles[key.role, default: [:]][key.tenant, default: Account()].queued = isCut ? Self.uncounted : count
        }
        // Asked for once now, in case a limit was raised.
        for (key, count) in snapshot.held {
            queued(key, count)
            holdBack([key])
        }
    }

    /// Stands for a queue that was not counted to its end; `settle` sets it right when the end is met.
    private static let uncounted = Int.max / 4

    /// The slots agents announced, by role.
    package mutating func announce(slots: [AgentRole: Int]) {
        self.slots = slots
    }

    /// A task arrives. True: hand it out now, it is counted as in flight. False: it waits and is counted as queued.
    package mutating func admit(_ key: Key) -> Bool {
        let account = roles[key.role]?[key.tenant] ?? Account()
        let starts = account.queued == 0 && room(key) > 0
        if starts { start(key, 1) } else { queued(key, 1) }
        return starts
    }

    package mutating func queued(_ key: Key, _ count: Int) {
        roles[key.role, default: [:]][key.tenant, default: Account()].queued += count
    }

    /// Tasks were held back by limits on labels; that they were queued is known to `settle`.
    package mutating func holdBack(_ keys: Set<Key>) {
        for key in keys { held[key.tenant, default: []].insert(key.role) }
    }

    /// Slots came free: perhaps for a label whose tasks are held back, whatever their role.
    package mutating func freed(_ key: Key, _ count: Int) {
        giveBack(key, count)
        for role in held[key.tenant] ?? [] { queued(Key(role: role, tenant: key.tenant), count) }
    }

    private mutating func giveBack(_ key: Key, _ count: Int) {
        guard var account = roles[key.role]?[key.tenant] else { return }
        let count = min(count, account.inFlight)
        account.inFlight -= count
        shift(key, -count)
        keep(account, key)
    }

    /// Takes turns between the tenants that wait until the room or the plan is full.
    ///
    /// The granted counts are taken at once; `settle` corrects them when fewer tasks were found.
    package mutating func plan() -> [Grant] {
        var left = limits.grantMax
        var grants: [Grant] = []
        for role in roles.keys.sorted() where left > 0 {
            let granted = planRound(role, atMost: left)
            left -= granted.reduce(0) { $0 + $1.count }
            grants += granted
        }
        return grants
    }

    /// Fewer tasks than granted were there to take: the rest was not queued after all.
    ///
    /// - Parameter isWhole: false when there may be more behind what was looked at.
    package mutating func settle(_ grant: Grant, taken: Int, isWhole: Bool = true) {
        guard taken < grant.count else { return }
        giveBack(grant.key, grant.count - taken)
        guard isWhole else { return queued(grant.key, grant.count - taken) }
        guard var account = roles[grant.key.role]?[grant.key.tenant] else { return }
        account.queued = 0
        keep(account, grant.key)
    }

    package var isWaiting: Bool { roles.values.contains { $0.values.contains { $0.queued > 0 } } }

    package func inFlight(_ key: Key) -> Int { roles[key.role]?[key.tenant]?.inFlight ?? 0 }

    /// How much more of that role and tenant may be out.
    package func room(_ key: Key) -> Int {
        let window = slots[key.role] ?? limits.windowDefault
        let total = inFlightByRole[key.role] ?? 0
        let mine = inFlight(key)
        let share = min(window - window / 8, limits.tenantWindowMax)
        let ofTenant = limits.tenantConcurrency - (inFlightByTenant[key.tenant] ?? 0)
        return max(0, min(window - total, share - mine, ofTenant))
    }

    private mutating func planRound(_ role: AgentRole, atMost: Int) -> [Grant] {
        var counts: [TenantID: Int] = [:]
        var order = turn(role)
        var left = atMost
        while left > 0, !order.isEmpty {
            var served: [TenantID] = []
            for tenant in order where left > 0 {
                let key = Key(role: role, tenant: tenant)
                let waiting = roles[role]?[tenant]?.queued ?? 0
                let count = min(limits.weights[tenant] ?? 1, waiting, room(key), left)
                guard count > 0 else { continue }
                start(key, count)
                roles[role]?[tenant]?.queued -= count
                counts[tenant, default: 0] += count
                left -= count
                lastServed[role] = tenant
                served.append(tenant)
            }
            order = served
        }
        return counts.sorted { $0.key < $1.key }.map { Grant(key: Key(role: role, tenant: $0.key), count: $0.value) }
    }

    /// The tenants that wait, starting after the one served last.
    private func turn(_ role: AgentRole) -> [TenantID] {
        let waiting = (roles[role] ?? [:]).filter { $0.value.queued > 0 }.keys.sorted()
        guard let last = lastServed[role], let next = waiting.firstIndex(where: { $0 > last }) else { return waiting }
        return Array(waiting[next...] + waiting[..<next])
    }

    private mutating func start(_ key: Key, _ count: Int) {
        roles[key.role, default: [:]][key.tenant, default: Account()].inFlight += count
        shift(key, count)
    }

    private mutating func shift(_ key: Key, _ change: Int) {
        inFlightByTenant[key.tenant, default: 0] += change
        inFlightByRole[key.role, default: 0] += change
        if inFlightByTenant[key.tenant] == 0 { inFlightByTenant[key.tenant] = nil }
    }

    /// Drops empty accounts, so that the book is as large as what is going on.
    private mutating func keep(_ account: Account, _ key: Key) {
        roles[key.role]?[key.tenant] = account.inFlight == 0 && account.queued == 0 ? nil : account
    }
}
