import Contracts
import Foundation
import Testing

@testable import OrchestratorService

/// Whose names are looked up when threads are scarce.
@Suite(.timeLimit(.minutes(2))) struct `Host resolver` {
    private static let acme = TenantID(literal: "acme")
    private static let beta = TenantID(literal: "beta")

    @Test func `a tenant's dead names leave threads to others, and what gets none is not called unresolved`()
        async throws
    {
        let held = HeldLookups()
        let resolver = HostResolver(timeout: .seconds(3), lookUp: held.lookUp)
        resolver.start()
        let answers = try await withThrowingTaskGroup(of: HostResolver.Answer.self) { group in
            for number in 0..<20 {
                group.addTask { await resolver.addresses(of: "dead\(number).example", for: Self.acme) }
            }
            try await held.waitUntilHolding(LookupQueue.threads / 2)
            let other = await resolver.addresses(of: "well.example", for: Self.beta)
            #expect(other == .addresses(held.found))
            return try await group.reduce(into: []) { $0.append($1) }
        }
        #expect(answers.filter { $0 == .addresses([]) }.count == LookupQueue.threads / 2)
        #expect(answers.filter { $0 == .busy }.count == 20 - LookupQueue.threads / 2)
        held.letGo()
        let again = await resolver.addresses(of: "dead0.example", for: Self.acme)
        #expect(again == .addresses(held.found))
        try await resolver.shutdown()
    }

    @Test func `a tenant gets a thread while it has fewer than are free, and who has fewest is next`() {
        let queue = QueueUnderTest()
        for number in 0..<40 { queue.add("a\(number)", Self.acme) }
        #expect(queue.startAll() == (0..<8).map { "a\($0)" }, "Half of all, oldest first.")
        for number in 0..<40 { queue.add("b\(number)", Self.beta) }
        #expect(queue.startAll() == (0..<4).map { "b\($0)" }, "As many as are free then.")
        #expect(queue.end("a0", Self.acme) == 1)
        #expect(queue.startAll() == ["b4"])
        queue.add("c", TenantID(literal: "gamma"))
        #expect(queue.startAll() == ["c"])

        let other = QueueUnderTest()
        other.add("a0", Self.acme)
        #expect(other.startAll() == ["a0"])
        for host in ["a1", "a2"] { other.add(host, Self.acme) }
        other.add("b0", Self.beta)
        #expect(other.startAll() == ["b0", "a1", "a2"])
    }

    @Test func `who asks for a name that is being looked up shares the lookup`() {
        let queue = QueueUnderTest()
        #expect(queue.add("one", Self.acme) == false)
        #expect(queue.startAll() == ["one"])
        #expect(queue.add("one", Self.acme) == true)
        #expect(queue.startAll().isEmpty)
        #expect(queue.end("one", Self.acme) == 2)
        #expect(queue.end("one", Self.acme) == 0)
    }

    @Test func `a lookup that waits and that nobody waits for is dropped, one under way keeps its thread`() {
        let queue = QueueUnderTest()
        let asker = LookupQueue.Asker()
        queue.add("one", Self.acme, asker)
        queue.remove("one", Self.acme, asker)
        #expect(queue.startAll().isEmpty)
        queue.add("one", Self.acme, asker)
        #expect(queue.startAll() == ["one"])
        queue.remove("one", Self.acme, asker)
        #expect(queue.add("one", Self.acme) == true)
    }

    @Test func `no more lookups wait than there is room for`() {
        let queue = QueueUnderTest()
        for number in 0..<LookupQueue.lookupsMax { queue.add("a\(number)", Self.acme) }
        #expect(queue.add("b", Self.beta) == nil)
        #expect(queue.add("a0", Self.acme) == false, "It shares one that is there.")
    }
}

private final class QueueUnderTest {
    private var queue = LookupQueue()

    @discardableResult
    func add(_ host: String, _ tenant: TenantID, _ asker: LookupQueue.Asker = .init()) -> Bool? {
        queue.add(asker, to: LookupQueue.Name(tenant: tenant, host: host))
    }

    func remove(_ host: String, _ tenant: TenantID, _ asker: LookupQueue.Asker) {
        queue.remove(asker, from: LookupQueue.Name(tenant: tenant, host: host))
    }

    /// The hosts that got a thread.
    func startAll() -> [String] {
        var hosts: [String] = []
        while let lookup = queue.startNext() { hosts.append(lookup.name.host) }
        return hosts
    }

    /// How many are to be told.
    func end(_ host: String, _ tenant: TenantID) -> Int {
        queue.end(LookupQueue.Name(tenant: tenant, host: host)).count
    }
}

/// A resolver of the system whose names that begin with `dead` get no answer until the test lets go.
final class HeldLookups: @unchecked Sendable {
    let found = [IPAddress(bytes: [192, 0, 2, 1])].compactMap { $0 }
    private let condition = NSCondition()
    private var isHeld = true
    private var holding = 0

    @Sendable func lookUp(_ host: String) -> [IPAddress] {
        condition.withLock {
            guard host.hasPrefix("dead") else { return }
            holding += 1
            while isHeld { condition.wait() }
            holding -= 1
        }
        return found
    }

    func waitUntilHolding(_ count: Int) async throws {
        try await eventually { condition.withLock { holding >= count } }
    }

    func letGo() {
        condition.withLock {
            isHeld = false
            condition.broadcast()
        }
    }
}
