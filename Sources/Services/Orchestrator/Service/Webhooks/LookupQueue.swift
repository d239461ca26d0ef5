internal import Contracts

/// The lookups under way and waiting, one for each name of a tenant: who asks for the same name meanwhile shares it.
///
/// A tenant gets a thread while it has fewer than are free, and the one that has fewest is next. So names that take
/// long hold up the other names of their tenant, and no other's.
///
/// Source: Choudhury and Hahne, "Dynamic Queue Length Thresholds for Shared-Memory Packet Switches", 1998.
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
        let tenants = lookups.filter(\.isUnderWay).map(\.name.tenant)
        let held = Dictionary(tenants.map { ($0, 1) }, uniquingKeysWith: +)
        let free = Self.threads - tenants.count
        var next: (place: Int, held: Int)?
        for (place, lookup) in lookups.enumerated() where !lookup.isUnderWay {
            let count = held[lookup.name.tenant] ?? 0
            if count < min(free, next?.held ?? free) { next = (place, count) }
        }
        guard let next else { return nil }
        lookups[next.place].isUnderWay = true
        return lookups[next.place]
    }

    /// Answers who is to be told.
    mutating func end(_ name: Name) -> [Asker] {
        guard let place = index(of: name) else { return [] }
        return lookups.remove(at: place).askers
    }

    /// A lookup that waits for a thread and that nobody waits for is dropped; one under way ends by itself.
    mutating func remove(_ asker: Asker, from name: Name) {
        guard let place = index(of: name) else { return }
        lookups[place].askers.removeAll { $0 === asker }
        if lookups[place].askers.isEmpty, !lookups[place].isUnderWay { lookups.remove(at: place) }
    }

    private func index(of name: Name) -> Int? { lookups.firstIndex { $0.name == name } }
}
