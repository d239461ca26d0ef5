internal import Contracts
internal import HTTPEdge

/// The lookups under way and waiting, one for each name of a tenant: who asks for the same name meanwhile shares it.
///
/// Tenants share the threads by the rule of `FairShare`, and the one that has fewest is next. So names that take long
/// hold up the other names of their tenant, and no other's.
struct LookupQueue: Sendable {
    static let threads = 16
    /// Lookups under way or waiting.
    static let lookupsMax = 256

    struct Name: Hashable, Sendable {
        let tenant: TenantID
        let host: String
    }

    /// One who wants to know a name's addresses.
    final class Asker: Sendable {
        /// Has an element as soon as the lookup has a thread.
        let begun: AsyncStream<Void>
        let answers: AsyncStream<[IPAddress]>
        private let begunGiver: AsyncStream<Void>.Continuation
        private let answerGiver: AsyncStream<[IPAddress]>.Continuation

        init() {
            (begun, begunGiver) = AsyncStream.makeStream(bufferingPolicy: .bufferingOldest(1))
            (answers, answerGiver) = AsyncStream.makeStream(bufferingPolicy: .bufferingOldest(1))
        }

        func begin() { begunGiver.yield() }

        func answer(_ addresses: [IPAddress]) { answerGiver.yield(addresses) }
    }

    struct Lookup: Sendable {
        let name: Name
        var isUnderWay: Bool
        var askers: [Asker]
    }

    /// Oldest first.
    private var lookups: [Lookup] = []
    /// The threads of those under way.
    private var shares = FairShare<TenantID>(of: LookupQueue.threads)

    /// Whether the name's lookup is under way already; nil, and nothing is added, when there are too many.
    mutating func add(_ asker: Asker, to name: Name) -> Bool? {
        if let place = index(of: name) {
            lookups[place].askers.append(asker)
            return lookups[place].isUnderWay
        }
        guard lookups.count < Self.lookupsMax else { return nil }
        lookups.append(Lookup(name: name, isUnderWay: false, askers: [asker]))
        return false
    }

    /// The next to get a thread, under way from now on; nil when it is nobody's turn.
    mutating func startNext() -> Lookup? {
        let waiting = lookups.indices.filter { !lookups[$0].isUnderWay }
        let next = waiting.min { held(by: lookups[$0]) < held(by: lookups[$1]) }
        guard let next, shares.take(for: lookups[next].name.tenant) else { return nil }
        lookups[next].isUnderWay = true
        return lookups[next]
    }

    /// Answers who is to be told.
    mutating func end(_ name: Name) -> [Asker] {
        guard let place = index(of: name) else { return [] }
        if lookups[place].isUnderWay { shares.giveBack(of: name.tenant) }
        return lookups.remove(at: place).askers
    }

    /// A lookup that waits for a thread and that nobody waits for is dropped; one under way ends by itself.
    mutating func remove(_ asker: Asker, from name: Name) {
        guard let place = index(of: name) else { return }
        lookups[place].askers.removeAll { $0 === asker }
        if lookups[place].askers.isEmpty, !lookups[place].isUnderWay { lookups.remove(at: place) }
    }

    private func held(by lookup: Lookup) -> Int { shares.held(by: lookup.name.tenant) }

    private func index(of name: Name) -> Int? { lookups.firstIndex { $0.name == name } }
}
