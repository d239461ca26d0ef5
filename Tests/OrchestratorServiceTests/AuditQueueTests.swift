import Contracts
import Foundation
import Storage
import Testing

@testable import OrchestratorService

@Suite struct `Audit queue` {
    private static let acme = AuditChain.tenant(TenantID(literal: "acme"))
    private static let beta = AuditChain.tenant(TenantID(literal: "beta"))
    private let start = ContinuousClock.now

    private func entry(_ chain: AuditChain, _ number: Int) -> AuditEntry {
        AuditEntry(
            chain: chain, at: Date(timeIntervalSince1970: 0), actor: "olga", actorRole: "observer",
            action: "submitTask", resource: "POST /tasks", outcome: .denied, reason: "\(number)")
    }

    private func acme(_ number: Int) -> AuditEntry { entry(Self.acme, number) }

    private func beta(_ number: Int) -> AuditEntry { entry(Self.beta, number) }

    @Test func `what waits for a locked chain stands before nobody else's`() {
        var queue = AuditQueue()
        let lost = queue.add([acme(1), beta(1), acme(2), beta(2)])
        let first = queue.take(2, dueBy: start)
        #expect(lost == 0 && first == [acme(1), beta(1)])
        // The other's was written.
        let locked = queue.putBack(first, lockedIn: [Self.acme], until: start + .seconds(1))
        #expect(locked == [Self.acme] && queue.hasApart)
        _ = queue.add([acme(3), beta(3)])
        let others = queue.take(9, dueBy: start)
        #expect(others == [beta(2), beta(3)])
        let early = queue.take(9, dueBy: start)
        #expect(early.isEmpty)
        let due = queue.take(2, dueBy: start + .seconds(1))
        #expect(due == [acme(1), acme(2)], "in their order, before what came later")
        let rest = queue.take(9, dueBy: start + .seconds(1))
        #expect(rest == [acme(3)])
        let none = queue.take(9, dueBy: start + .seconds(1))
        #expect(none.isEmpty && !queue.hasApart)
        _ = queue.add([acme(4)])
        let free = queue.take(9, dueBy: nil)
        #expect(free == [acme(4)], "It stands in line with the others again.")
    }

    @Test func `what was tried in vain comes first again`() {
        var queue = AuditQueue()
        _ = queue.add([acme(1), beta(1)])
        let both = queue.take(9, dueBy: start)
        queue.putBack(both)
        _ = queue.add([beta(2)])
        let again = queue.take(9, dueBy: start)
        #expect(again == [acme(1), beta(1), beta(2)])
        _ = queue.putBack(again, lockedIn: [Self.acme], until: start)
        let locked = queue.take(9, dueBy: start)
        _ = queue.add([acme(2)])
        queue.putBack(locked)
        let later = queue.take(9, dueBy: start)
        #expect(later == [acme(1), acme(2)])
        let new = queue.putBack(later, lockedIn: [Self.acme], until: start + .seconds(1))
        #expect(new.isEmpty, "It was apart before.")
        let early = queue.take(9, dueBy: start)
        #expect(early.isEmpty && queue.all == [acme(1), acme(2)])
    }

    @Test func `chains take turns, and a locked one is passed by until it is due`() {
        var queue = AuditQueue()
        _ = queue.add([acme(1), beta(1)])
        let both = queue.take(9, dueBy: start)
        _ = queue.putBack(both, lockedIn: [Self.acme], until: start)
        _ = queue.putBack([beta(1)], lockedIn: [Self.beta], until: start + .seconds(1))
        let end = start + .seconds(2)
        let first = queue.take(9, dueBy: end)
        #expect(first == [acme(1)])
        _ = queue.putBack(first, lockedIn: [Self.acme], until: start + .seconds(2))
        let second = queue.take(9, dueBy: end)
        #expect(second == [beta(1)])
    }

    @Test func `a chain that is due has its turn while others' entries keep coming, and they have theirs`() {
        var queue = AuditQueue()
        _ = queue.add([acme(1), acme(2)])
        let first = queue.take(9, dueBy: start)
        _ = queue.putBack(first, lockedIn: [Self.acme], until: start + .seconds(1))
        _ = queue.add([beta(1), beta(2)])
        let early = queue.take(1, dueBy: start)
        #expect(early == [beta(1)])
        var taken: [[AuditEntry]] = []
        for number in 3...6 {
            _ = queue.add([beta(number)])
            taken.append(queue.take(1, dueBy: start + .seconds(1)))
        }
        #expect(taken == [[acme(1)], [beta(2)], [acme(2)], [beta(3)]])
        _ = queue.add([acme(3)])
        let closing = queue.take(9, dueBy: nil)
        #expect(closing == [beta(4), beta(5), beta(6)], "What waits apart is not asked for.")
        let due = queue.take(9, dueBy: start + .seconds(1))
        #expect(due == [acme(3)])
    }

    @Test func `a locked chain leaves room for others`() {
        var queue = AuditQueue()
        let half = Array(repeating: acme(1), count: AuditQueue.apartMax)
        _ = queue.add(half)
        let first = queue.take(1, dueBy: start)
        _ = queue.putBack(first, lockedIn: [Self.acme], until: start)
        let lost = queue.add([acme(2), beta(1), acme(3)])
        #expect(lost == 2)
        let others = Array(repeating: beta(2), count: AuditQueue.countMax - AuditQueue.apartMax)
        let more = queue.add(others)
        #expect(more == 1 && queue.all.count == AuditQueue.countMax)
    }

    @Test func `a chain that never takes an entry leaves room for others that are locked`() {
        var queue = AuditQueue()
        _ = queue.add([acme(1), beta(1)])
        let first = queue.take(2, dueBy: start)
        _ = queue.putBack(first, lockedIn: [Self.acme, Self.beta], until: start)
        let many = Array(repeating: acme(2), count: AuditQueue.apartMax)
        let lost = queue.add(many)
        #expect(lost == many.count - AuditQueue.chainMax + 1)
        let more = queue.add([beta(2)])
        #expect(more == 0)
    }
}
