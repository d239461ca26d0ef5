import Contracts
import OrchestratorCore
import Testing

@Suite struct `Dispatch book` {
    let mine = DispatchBook.Key(role: developer, tenant: acme)
    let theirs = DispatchBook.Key(role: developer, tenant: other)

    func book(slots: Int, _ change: (inout DispatchBook.Limits) -> Void = { _ in }) -> DispatchBook {
        var limits = DispatchBook.Limits()
        change(&limits)
        var book = DispatchBook(limits: limits)
        book.announce(slots: [developer: slots])
        return book
    }

    @Test func `tasks start at once while there is room, then wait`() {
        var book = book(slots: 4)
        let answers = (0..<6).map { _ in book.admit(mine) }
        #expect(answers == [true, true, true, true, false, false])
        let none = book.plan()
        #expect(none.isEmpty)
        book.freed(mine, 1)
        let grants = book.plan()
        #expect(grants.map(\.key) == [mine] && grants.map(\.count) == [1])
        let more = book.plan()
        #expect(more.isEmpty)
    }

    @Test func `nobody overtakes a tenant's own queue`() {
        var book = book(slots: 2)
        for _ in 0..<3 { _ = book.admit(mine) }
        book.freed(mine, 1)
        let overtakes = book.admit(mine)
        #expect(!overtakes, "an older task of the same tenant waits")
    }

    @Test func `one slot in eight is kept from any single tenant`() {
        var book = book(slots: 16)
        let started = (0..<20).filter { _ in book.admit(mine) }.count
        #expect(started == 14)
        let newcomer = (0..<3).map { _ in book.admit(theirs) }
        #expect(newcomer == [true, true, false])
    }

    @Test func `tenants take turns whatever their backlog`() {
        var book = book(slots: 8)
        book.resync(.init(inFlight: [:], queued: [mine: 100_000, theirs: 2]))
        let grants = book.plan()
        #expect(grants.first { $0.key == theirs }?.count == 2)
        #expect(grants.first { $0.key == mine }?.count == 6)
    }

    @Test func `weights give more turns`() {
        var book = book(slots: 800) { $0.weights = [acme: 3] }
        book.resync(.init(inFlight: [:], queued: [mine: 1000, theirs: 1000]))
        let grants = book.plan()
        #expect(grants.first { $0.key == mine }?.count == 192)
        #expect(grants.first { $0.key == theirs }?.count == 64)
    }

    @Test func `the turn goes on where it stopped`() {
        var book = book(slots: 1)
        book.resync(.init(inFlight: [:], queued: [mine: 5, theirs: 5]))
        var served: [TenantID] = []
        for _ in 0..<4 {
            let grants = book.plan()
            served += grants.map(\.key.tenant)
            for grant in grants { book.freed(grant.key, grant.count) }
        }
        #expect(served == [acme, other, acme, other])
    }

    @Test func `limits of a tenant hold over its window and all roles`() {
        var wide = book(slots: 10_000) { $0.tenantWindowMax = 5 }
        let started = (0..<10).filter { _ in wide.admit(mine) }.count
        #expect(started == 5)

        var concurrency = book(slots: 100) { $0.tenantConcurrency = 3 }
        let elsewhere = DispatchBook.Key(role: AgentRole(literal: "tester"), tenant: acme)
        let answers = [mine, elsewhere, mine, elsewhere, theirs].map { concurrency.admit($0) }
        #expect(answers == [true, true, true, false, true])
    }

    @Test func `a role whose agents never announced themselves has a modest window`() {
        var book = DispatchBook(limits: .init())
        let started = (0..<100).filter { _ in book.admit(mine) }.count
        #expect(started == 56)
    }

    @Test func `a grant that found less gives the rest back`() {
        var book = book(slots: 8)
        book.resync(.init(inFlight: [:], queued: [mine: 5]))
        let grant = book.plan()[0]
        book.settle(grant, taken: 2)
        #expect(book.inFlight(mine) == 2)
        #expect(!book.isWaiting)
    }

    @Test func `a queue counted to its bound only is drained to its end`() {
        var book = book(slots: 64)
        book.resync(.init(inFlight: [:], queued: [mine: 100], queuedMax: 100))
        var left = 130
        while left > 0 {
            for grant in book.plan() {
                let taken = min(grant.count, left)
                left -= taken
                book.settle(grant, taken: taken)
                book.freed(mine, taken)
            }
            if !book.isWaiting { break }
        }
        #expect(left == 0)
        _ = book.plan().map { book.settle($0, taken: 0) }
        #expect(!book.isWaiting)
    }

    @Test func `what a label holds back is asked for again when a task of its tenant ends, whatever the role`() {
        let elsewhere = DispatchBook.Key(role: AgentRole(literal: "tester"), tenant: acme)
        var book = book(slots: 8)
        book.resync(.init(inFlight: [mine: 2], queued: [:], held: [mine: 5, elsewhere: 1]))
        let asked = book.plan()
        #expect(asked.map(\.key) == [mine, elsewhere] && asked.map(\.count) == [5, 1])
        for grant in asked { book.settle(grant, taken: 0) }
        // Nothing was there, and nothing is asked again by itself.
        let idle = book.plan()
        #expect(idle.isEmpty && book.inFlight(mine) == 2)
        book.freed(mine, 1)
        let woken = book.plan()
        #expect(woken.map(\.key) == [mine, elsewhere] && woken.map(\.count) == [1, 1])
    }

    @Test func `a grant that did not look to the end keeps its tenant in line`() {
        var book = book(slots: 8)
        book.resync(.init(inFlight: [:], queued: [mine: 3]))
        let grant = book.plan()[0]
        book.settle(grant, taken: 1, isWhole: false)
        #expect(book.inFlight(mine) == 1 && book.isWaiting)
        let again = book.plan()
        #expect(again.map(\.count) == [2])
    }

    @Test func `the book forgets who has nothing going on`() {
        var book = book(slots: 8)
        _ = book.admit(mine)
        book.freed(mine, 5)
        #expect(book.inFlight(mine) == 0)
        #expect(book.room(mine) == 7)
    }
}
