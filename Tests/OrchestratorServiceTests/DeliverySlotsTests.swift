import Contracts
import Testing

@testable import OrchestratorService
@testable import Storage

/// How attempts are shared between tenants and their receivers.
@Suite struct `Delivery slots` {
    private static func target(_ tenant: String, _ number: Int = 0) -> DeliveryTarget {
        DeliveryTarget(tenant: TenantID(tenant) ?? TenantID(literal: "none"), host: "\(number).example")
    }

    @Test func `one tenant gets half of all, and whoever comes next finds some`() {
        let slots = DeliverySlots()
        let targets = (0..<20).map { Self.target("acme", $0) }
        let taken = targets.map { slots.take(1000, for: $0) }
        #expect(Array(taken.prefix(5)) == [16, 16, 16, 16, 0] && taken.reduce(0, +) == 64)
        #expect(slots.take(1000, for: Self.target("beta", 0)) == 16)
        #expect(slots.take(1000, for: Self.target("beta", 1)) == 16)
        #expect(slots.take(1000, for: Self.target("beta", 2)) == 0, "It has as many as are free.")
        #expect(slots.take(3, for: Self.target("gamma")) == 3)
        // Acme gets none back before it has fewer than are free.
        slots.giveBack(16, of: targets[0])
        #expect(slots.take(1000, for: targets[0]) == 0)
        for target in targets[1...3] { slots.giveBack(16, of: target) }
        #expect(slots.underWay == 35)
        #expect(slots.take(1000, for: targets[0]) == 16)
    }

    @Test func `the last slot is taken by a tenant that has none`() {
        let slots = DeliverySlots()
        for number in 0..<DeliverySlots.max {
            #expect(slots.take(1, for: Self.target("t\(number)")) == 1)
        }
        #expect(slots.take(1, for: Self.target("late")) == 0 && slots.underWay == DeliverySlots.max)
    }

    private static func waiting(_ tenant: String, _ number: Int, due: Int = 5, hasParked: Bool = false)
        -> TargetBacklog
    {
        TargetBacklog(target: target(tenant, number), due: due, hasParked: hasParked, oldestSeconds: 0)
    }

    @Test func `tenants are served in turn and share alike, however many targets one has`() {
        var backlog = (0..<40).map { Self.waiting("acme", $0) }
        backlog += [Self.waiting("beta", 0), Self.waiting("gamma", 0), Self.waiting("gamma", 1)]
        backlog.append(Self.waiting("idle", 0, due: 0))
        backlog.append(Self.waiting("parked", 0, due: 0, hasParked: true))
        let turns = DeliveryTurns(backlog)
        let order = turns.order.map { $0.target.tenant.text }
        #expect(order.count == 44)
        #expect(Set(order.prefix(4)) == ["acme", "beta", "gamma", "parked"])
        #expect(Set(order[4..<6]) == ["acme", "gamma"])
        #expect(turns.share(of: 120, for: Self.target("beta")) == 40)
        #expect(turns.share(of: 120, for: Self.target("gamma")) == 20)
        #expect(turns.share(of: 120, for: Self.target("acme")) == 1)
        #expect(turns.share(of: 0, for: Self.target("acme")) == 1)
    }

    @Test func `nobody is served late for a name`() {
        let backlog = ["acme", "beta", "zeta"].map { Self.waiting($0, 0) }
        let firsts = (0..<1000).compactMap { _ in DeliveryTurns(backlog).order.first?.target.tenant.text }
        #expect(Set(firsts) == ["acme", "beta", "zeta"])
    }
}
