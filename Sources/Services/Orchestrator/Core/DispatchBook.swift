package import Contracts

/// Who may be handed how much work: the leading dispatcher's book of slots, kept by role and tenant.
///
/// Decides late: about as much work is out as agents have slots, so that what JetStream holds is short and a tenant
/// with 100,000 queued tasks delays another tenant's one task by no more than one round. Within a role, tenants take
/// turns (weighted round-robin); one slot in eight is kept from any single tenant, so that a newcomer starts at once.
///
/// Anybody can name a role that nobody will ever work in, and as many of them as they like. So all roles whose agents
/// did not announce slots share a few windows, and the book looks at no more of them than it can hand out.
package struct DispatchBook: Sendable {
    package typealias Key = DispatchHint.Count

    package struct Limits: Sendable {
        /// Work out for a role whose agents did not announce slots; for one tenant, over all such roles together: what
        /// nobody may ever take fills the bus.
        package var windowDefault = 64
        /// So many such windows are out for all such roles and tenants together; the last eighth of them is for tenants
        /// that have less than `unannouncedFloor` out, and half of that for those that have nothing out. One task of a
        /// tenant is out however much others have.
        package var unannouncedWindows = 4
        package var unannouncedFloor = 4
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

        /// Roles nobody announced that are kept of one tenant; others are looked at when some of these are done.
        package static let unannouncedMax = 1000

        /// The same without most of what a tenant may have made up, so that the book stays small.
        package func bounded(announced slots: [AgentRole: Int]) -> Snapshot {
            Snapshot(
                inFlight: inFlight, queued: Self.bounded(queued, slots), queuedMax: queuedMax,
                held: Self.bounded(held, slots))
        }

        private static func bounded(_ counts: [Key: Int], _ slots: [AgentRole: Int]) -> [Key: Int] {
            guard counts.count > unannouncedMax else { return counts }
            var kept: [TenantID: Int] = [:]
            return counts.filter { key, _ in
                if slots[key.role] != nil { return true }
                kept[key.tenant, default: 0] += 1
                return kept[key.tenant, default: 0] <= unannouncedMax
            }
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
    /// The same, of each tenant no more than it may have of a role whose agents did not announce slots.
    private var countedByRole: [AgentRole: Int] = [:]
    /// A tenant's work over all roles whose agents did not announce slots.
    private var inFlightUnannounced: [TenantID: Int] = [:]
    /// That of all tenants together, of each no more than one may have: what was handed out while a role had agents
    /// may be more, and is not to take up everybody's places when they go away.
    private var unannounced = 0
    /// The roles nobody announced that a tenant's tasks wait for, by their turns.
    private var lines: [TenantID: [AgentRole]] = [:]
    /// What `lines` names, each once; tasks may wait there no more.
    private var inLine: Set<Key> = []
    /// The tenant that was served last in any of those roles.
    private var lastServedUnannounced: TenantID?
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
        countedByRole = [:]
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
            roles[key.role, default: [:]][key.tenant, default: Account()].queued += count
            holdBack([key])
        }
        recountUnannounced()
    }

    /// Stands for a queue that was not counted to its end; `settle` sets it right when the end is met.
    private static let uncounted = Int.max / 4

    /// The slots agents announced, by role.
    package mutating func announce(slots: [AgentRole: Int]) {
        let isOther = slots.keys != self.slots.keys
        self.slots = slots
        if isOther { recountUnannounced() }
    }

    /// Finds what belongs to roles nobody announced. Who stood in line keeps its place.
    private mutating func recountUnannounced() {
        inFlightUnannounced = [:]
        var waiting: Set<Key> = []
        for (role, accounts) in roles where slots[role] == nil {
            for (tenant, account) in accounts {
                if account.inFlight > 0 { inFlightUnannounced[tenant, default: 0] += account.inFlight }
                if account.queued > 0 { waiting.insert(Key(role: role, tenant: tenant)) }
            }
        }
        unannounced = inFlightUnannounced.values.reduce(0) { $0 + counted($1) }
        let before = lines
        lines = [:]
        inLine = []
        for (tenant, line) in before {
            for role in line {
                let key = Key(role: role, tenant: tenant)
                if waiting.remove(key) != nil { lineUp(key) }
            }
        }
        for key in waiting.sorted(by: { $0.role < $1.role }) { lineUp(key) }
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
        lineUp(key)
    }

    private mutating func lineUp(_ key: Key) {
        guard slots[key.role] == nil, inLine.insert(key).inserted else { return }
        lines[key.tenant, default: []].append(key.role)
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
        keep(account, key)
        shift(key, -count)
    }

    /// Takes turns between the tenants that wait until the room or the plan is full: first in the roles with agents.
    ///
    /// The granted counts are taken at once; `settle` corrects them when fewer tasks were found.
    package mutating func plan() -> [Grant] {
        var left = limits.grantMax
        var grants: [Grant] = []
        for role in slots.keys.sorted() where left > 0 {
            let granted = takeTurns(turn(role), atMost: left) { book, tenant, left in
                let grant = book.startNext(Key(role: role, tenant: tenant), atMost: left)
                if grant != nil { book.lastServed[role] = tenant }
                return grant
            }
            left -= granted.reduce(0) { $0 + $1.count }
            grants += granted
        }
        let order = Self.turn(lines.keys.sorted(), after: lastServedUnannounced)
        return grants + takeTurns(order, atMost: left) { $0.startNextInLine(of: $1, atMost: $2) }
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
        guard let window = slots[key.role] else {
            let first = inFlightUnannounced[key.tenant] == nil ? 1 : 0
            let left = limits.windowDefault - (countedByRole[key.role] ?? 0)
            return max(0, min(max(first, left), roomUnannounced(key.tenant)))
        }
        let total = inFlightByRole[key.role] ?? 0
        return max(0, min(window - total, share(of: window) - inFlight(key), roomOfTenant(key.tenant)))
    }

    /// How much more of that tenant may be out over all roles nobody announced.
    private func roomUnannounced(_ tenant: TenantID) -> Int {
        let mine = inFlightUnannounced[tenant] ?? 0
        let all = limits.windowDefault * limits.unannouncedWindows
        let kept = all / 8
        let open = all - kept - unannounced
        let floor =
            mine == 0
            ? max(1, min(limits.unannouncedFloor, all - unannounced))
            : min(limits.unannouncedFloor - mine, all - kept / 2 - unannounced)
        return min(share(of: limits.windowDefault) - mine, max(open, floor), roomOfTenant(tenant))
    }

    /// What counts to everybody's windows of a tenant that has so much out.
    private func counted(_ inFlight: Int) -> Int { min(inFlight, share(of: limits.windowDefault)) }

    /// What one tenant may have of a window.
    private func share(of window: Int) -> Int { min(window - window / 8, limits.tenantWindowMax) }

    private func roomOfTenant(_ tenant: TenantID) -> Int {
        limits.tenantConcurrency - (inFlightByTenant[tenant] ?? 0)
    }

    /// Lets these tenants start work one after the other, as long as any of them can.
    private mutating func takeTurns(
        _ tenants: [TenantID], atMost: Int, start: (inout DispatchBook, TenantID, Int) -> Grant?
    ) -> [Grant] {
        var counts: [Key: Int] = [:]
        var order = tenants
        var left = atMost
        while left > 0, !order.isEmpty {
            var served: [TenantID] = []
            for tenant in order where left > 0 {
                guard let grant = start(&self, tenant, left) else { continue }
                counts[grant.key, default: 0] += grant.count
                left -= grant.count
                served.append(tenant)
            }
            order = served
        }
        let sorted = counts.sorted { ($0.key.role, $0.key.tenant) < ($1.key.role, $1.key.tenant) }
        return sorted.map { Grant(key: $0.key, count: $0.value) }
    }

    private mutating func startNext(_ key: Key, atMost: Int) -> Grant? {
        let waiting = roles[key.role]?[key.tenant]?.queued ?? 0
        let count = min(limits.weights[key.tenant] ?? 1, waiting, room(key), atMost)
        guard count > 0 else { return nil }
        start(key, count)
        roles[key.role]?[key.tenant]?.queued -= count
        return Grant(key: key, count: count)
    }

    /// Starts work in the tenant's next role that nobody announced. It passes by those that are full by themselves,
    /// which are few, and those where nobody waits any more, for good.
    private mutating func startNextInLine(of tenant: TenantID, atMost: Int) -> Grant? {
        var looks = lines[tenant]?.count ?? 0
        while looks > 0, roomUnannounced(tenant) > 0, let role = lines[tenant]?.first {
            looks -= 1
            let key = Key(role: role, tenant: tenant)
            lines[tenant]?.removeFirst()
            inLine.remove(key)
            let grant = startNext(key, atMost: atMost)
            if let account = roles[role]?[tenant], account.queued > 0 { lineUp(key) }
            guard let grant else { continue }
            lastServedUnannounced = tenant
            return grant
        }
        return nil
    }

    /// The tenants that wait, starting after the one served last.
    private func turn(_ role: AgentRole) -> [TenantID] {
        let waiting = (roles[role] ?? [:]).filter { $0.value.queued > 0 }.keys.sorted()
        return Self.turn(waiting, after: lastServed[role])
    }

    private static func turn(_ waiting: [TenantID], after last: TenantID?) -> [TenantID] {
        guard let last, let next = waiting.firstIndex(where: { $0 > last }) else { return waiting }
        return Array(waiting[next...] + waiting[..<next])
    }

    private mutating func start(_ key: Key, _ count: Int) {
        roles[key.role, default: [:]][key.tenant, default: Account()].inFlight += count
        shift(key, count)
    }

    /// Adds up what changed in an account.
    private mutating func shift(_ key: Key, _ change: Int) {
        let after = inFlight(key)
        inFlightByTenant[key.tenant, default: 0] += change
        inFlightByRole[key.role, default: 0] += change
        countedByRole[key.role, default: 0] += counted(after) - counted(after - change)
        if slots[key.role] == nil {
            let before = inFlightUnannounced[key.tenant] ?? 0
            inFlightUnannounced[key.tenant] = before + change
            unannounced += counted(before + change) - counted(before)
        }
        if inFlightByTenant[key.tenant] == 0 { inFlightByTenant[key.tenant] = nil }
        if inFlightUnannounced[key.tenant] == 0 { inFlightUnannounced[key.tenant] = nil }
    }

    /// Drops empty accounts, so that the book is as large as what is going on.
    private mutating func keep(_ account: Account, _ key: Key) {
        roles[key.role]?[key.tenant] = account.inFlight == 0 && account.queued == 0 ? nil : account
    }
}
