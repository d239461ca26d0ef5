import Contracts
import Foundation
import SandboxExecutorCore
import Testing

@Suite struct `Fair queue` {
    static let (a, b, c) = (TenantID(literal: "a"), TenantID(literal: "b"), TenantID(literal: "c"))

    static func ticket(_ tenant: TenantID) -> FairQueue.Ticket { FairQueue.Ticket(ExecutionID(UUID()), tenant) }

    @Test func `a tenant with two hundred waiting delays another's one by one turn`() {
        var queue = FairQueue(max: 1000)
        for _ in 0..<200 { queue.add(Self.ticket(Self.a)) }
        queue.add(Self.ticket(Self.b))
        var served: [TenantID] = []
        while let next = queue.next(running: [:]) { served.append(next.tenant) }
        #expect(served.count == 201)
        #expect(served.prefix(2).contains(Self.b))
    }

    @Test func `whoever has fewer runs under way comes first`() {
        var queue = FairQueue(max: 10)
        for tenant in [Self.a, Self.a, Self.b, Self.c] { queue.add(Self.ticket(tenant)) }
        let served = [[Self.a: 1, Self.b: 2], [Self.a: 1, Self.b: 2], [Self.a: 3, Self.b: 2]].map {
            queue.next(running: $0)?.tenant
        }
        #expect(served == [Self.c, Self.a, Self.b])
    }

    @Test func `within a tenant it is first come, first served`() {
        var queue = FairQueue(max: 10)
        let tickets = (0..<5).map { _ in Self.ticket(Self.a) }
        for ticket in tickets { queue.add(ticket) }
        let served = (0..<6).map { _ in queue.next(running: [:]) }
        #expect(served == tickets + [nil] && queue.count == 0)
    }

    @Test func `a full line has no room, and becomes what it is replaced with, in that order`() {
        var queue = FairQueue(max: 3)
        let tickets = (0..<4).map { _ in Self.ticket(Self.a) }
        for ticket in tickets.dropFirst() { queue.add(ticket) }
        let other = Self.ticket(Self.b)
        let isAdded = queue.add(other)
        #expect(!isAdded)
        queue.replace(with: [tickets[0], other, tickets[1]])
        #expect(queue.count == 3 && queue.depths == [Self.a: 2, Self.b: 1])
        let served = (0..<4).map { _ in queue.next(running: [:]) }
        #expect(served == [tickets[0], other, tickets[1], nil])
    }

    @Test func `who came meanwhile comes behind, and whose turn it is stays`() {
        var queue = FairQueue(max: 10)
        queue.add(Self.ticket(Self.a))
        _ = queue.next(running: [:])
        let (first, late, other) = (Self.ticket(Self.a), Self.ticket(Self.a), Self.ticket(Self.b))
        queue.add(late)
        queue.replace(with: [first, other])
        let served = (0..<4).map { _ in queue.next(running: [:]) }
        #expect(served == [other, first, late, nil])
    }

    @Test func `an execution waits once, the bound holds, and what is removed is gone`() {
        var queue = FairQueue(max: 3)
        let first = Self.ticket(Self.a)
        let tickets = [first, first, Self.ticket(Self.a), Self.ticket(Self.b), Self.ticket(Self.c)]
        let added = tickets.map { queue.add($0) }
        #expect(added == [true, false, true, true, false])
        #expect(queue.depths == [Self.a: 2, Self.b: 1])
        queue.remove(first.execution)
        #expect(queue.count == 2 && queue.depths[Self.a] == 1)
        let next = queue.next(running: [:])
        #expect(next != nil && next != first)
    }
}

@Suite struct `Warm interpreters` {
    static let policy = WarmPolicy(size: 2, ageMax: .seconds(300))

    @Test(
        arguments: [
            ([], 0, 0, 10, 1, []), ([1], 0, 0, 10, 1, []), ([1], 1, 0, 10, 0, []), ([1, 2], 0, 0, 10, 0, []),
            ([1, 2, 3], 0, 0, 10, 0, [2]), ([301, 1], 0, 0, 10, 1, [0]), ([], 0, 5, 10, 0, []), ([], 0, 4, 10, 1, []),
            ([], 0, 0, 0, 0, []), ([], 0, 0, -3, 0, []),
        ] as [([Int], Int, Int, Int, Int, [Int])])
    func `it refills up to its size, recycles by age, and gives up on what never starts`(
        ages: [Int], starting: Int, failures: Int, free: Int, starts: Int, retires: [Int]
    ) {
        let change = Self.policy.change(
            ages: ages.map { .seconds($0) }, starting: starting, failures: failures, freeSlots: free)
        #expect(change.starting == starts && change.retiring == retires)
    }
}
