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

    /// Roles that no agent announces, in the order of their names.
    func madeUp(_ count: Int, tenant: TenantID = acme) -> [DispatchBook.Key] {
        (0..<count).compactMap { number in
            AgentRole("made-up-\(100_000 + number)").map { DispatchBook.Key(role: $0, tenant: tenant) }
        }
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

    @Test func `a tenant's work for roles nobody announced has one window, however many roles it names`() {
        var book = DispatchBook(limits: .init())
        book.announce(slots: [developer: 8])
        let keys = madeUp(100)
        let started = keys.filter { book.admit($0) }.count
        #expect(started == 56)
        #expect(book.room(mine) == 7, "what it made up takes nothing from roles with agents")
        let other = DispatchBook.Key(role: keys[0].role, tenant: theirs.tenant)
        #expect(book.room(other) == 56, "nor from other tenants")

        book.announce(slots: [developer: 8, keys[0].role: 4])
        #expect(book.room(keys[99]) == 1, "an agent came for one of them")
        book.freed(keys[1], 1)
        #expect(book.room(keys[99]) == 2)
        let waiting = book.plan()
        #expect(waiting.reduce(0) { $0 + $1.count } == 2)
    }

    @Test func `all tenants have four windows for roles nobody announced, and whoever has little out finds places`() {
        var book = DispatchBook(limits: .init())
        let tenants = (0..<10).compactMap { TenantID("tenant-\($0)") }
        let started = tenants.map { tenant in
            madeUp(10, tenant: tenant).reduce(0) { count, key in
                count + (0..<10).filter { _ in book.admit(key) }.count
            }
        }
        #expect(started == [56, 56, 56, 56, 4, 4, 4, 4, 1, 1])
        let keys = madeUp(3, tenant: tenants[0])
        book.freed(keys[0], 1)
        let none = book.plan()
        #expect(none.isEmpty, "the last places are for those who have nothing out")
        for (key, count) in zip(keys, [9, 10, 2]) { book.freed(key, count) }
        var granted: [TenantID: Int] = [:]
        for grant in book.plan() { granted[grant.key.tenant, default: 0] += grant.count }
        let expected: [TenantID: Int] = [
            tenants[0]: 1, tenants[4]: 1, tenants[5]: 1, tenants[6]: 1, tenants[8]: 3, tenants[9]: 3,
        ]
        #expect(granted == expected)
        let newcomer = DispatchBook.Key(role: keys[0].role, tenant: acme)
        let answers = (0..<5).map { _ in book.admit(newcomer) }
        #expect(answers == [true, true, true, true, false])
    }

    @Test func `what was out when a role's agents went away keeps nobody else's places`() {
        var book = book(slots: 400)
        let started = (0..<300).filter { _ in book.admit(mine) }.count
        #expect(started == 300)
        book.announce(slots: [:])
        let elsewhere = madeUp(1, tenant: other)[0]
        #expect(book.room(elsewhere) == 56)
        #expect(book.room(theirs) == 8, "nor in that role")
        #expect(book.room(madeUp(1)[0]) == 0, "its own are taken up")
        book.freed(mine, 250)
        #expect(book.room(theirs) == 14)
        #expect(book.room(madeUp(1)[0]) == 6)
        #expect(book.room(elsewhere) == 56)
        book.freed(mine, 50)
        let all = madeUp(10, tenant: other).reduce(0) { count, key in
            count + (0..<10).filter { _ in book.admit(key) }.count
        }
        #expect(all == 56, "nothing is left of what it had")
    }

    @Test func `one task of a tenant is out, however many tenants' agents went away`() {
        var book = book(slots: 4000)
        for number in 0..<10 {
            guard let tenant = TenantID("tenant-\(number)") else { continue }
            for _ in 0..<100 { _ = book.admit(DispatchBook.Key(role: developer, tenant: tenant)) }
        }
        book.announce(slots: [:])
        let key = madeUp(1)[0]
        #expect(book.room(key) == 1)
        #expect(book.room(theirs) == 1, "in that role, too")
        let started = (0..<3).map { _ in book.admit(key) }
        #expect(started == [true, false, false])
        book.freed(key, 1)
        let granted = book.plan()
        #expect(granted.map(\.key) == [key] && granted.map(\.count) == [1])
    }

    @Test func `one task of a tenant is out, though others fill the role`() {
        var book = DispatchBook(limits: .init())
        for key in [mine, theirs] {
            for _ in 0..<60 { _ = book.admit(key) }
        }
        #expect(book.inFlight(mine) == 56 && book.inFlight(theirs) == 8)
        let newcomer = DispatchBook.Key(role: developer, tenant: TenantID(literal: "newcomer"))
        let started = (0..<3).map { _ in book.admit(newcomer) }
        #expect(started == [true, false, false])
        book.freed(newcomer, 1)
        let granted = book.plan()
        #expect(granted.map(\.key) == [newcomer] && granted.map(\.count) == [1])
    }

    @Test func `roles nobody announced take turns within their tenant, and go on where they stopped after a count`() {
        var limits = DispatchBook.Limits()
        limits.windowDefault = 1
        var book = DispatchBook(limits: limits)
        let keys = madeUp(3)
        var served: [DispatchBook.Key] = []
        for _ in 0..<4 {
            book.resync(.init(inFlight: [:], queued: Dictionary(uniqueKeysWithValues: keys.map { ($0, 10) })))
            served += book.plan().map(\.key)
        }
        #expect(served == [keys[0], keys[1], keys[2], keys[0]])
    }

    @Test(.timeLimit(.minutes(5)))
    func `a plan looks at roles with agents first, and at few of very many that a tenant made up`() {
        var book = book(slots: 64)
        let keys = madeUp(50_000)
        var queued = Dictionary(uniqueKeysWithValues: keys.map { ($0, 2) })
        queued[theirs] = 1000
        book.resync(.init(inFlight: [:], queued: queued))
        let first = book.plan()
        #expect(first.first?.key == theirs && first.first?.count == 56)
        #expect(first.dropFirst().map(\.key) == Array(keys.prefix(56)))
        // Plans that look at all roles do not come to the end of this in time.
        var out = Array(first.dropFirst().map(\.key))
        for _ in 0..<1000 {
            book.freed(out.removeFirst(), 1)
            out += book.plan().map(\.key)
        }
        #expect(out == Array(keys[1000..<1056]))
    }

    @Test func `a count keeps few of very many roles that a tenant made up, and all others`() {
        var queued = Dictionary(uniqueKeysWithValues: madeUp(5000).map { ($0, 1) })
        for key in [mine, theirs] + madeUp(3, tenant: other) { queued[key] = 7 }
        let all = DispatchBook.Snapshot(inFlight: [:], queued: queued, held: queued)
        let counted = all.bounded(announced: [developer: 8])
        for counts in [counted.queued, counted.held] {
            #expect(counts.filter { $0.value == 1 }.count == DispatchBook.Snapshot.unannouncedMax)
            #expect(counts.filter { $0.value == 7 }.count == 5)
        }
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
