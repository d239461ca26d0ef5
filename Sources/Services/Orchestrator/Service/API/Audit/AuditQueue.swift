internal import Storage

/// Audit entries that wait to be written, each chain's in the order in which they came. Those of a chain that somebody
/// holds locked wait apart, so that no other's wait behind them. Pure; the caller knows the time.
struct AuditQueue {
    /// Entries that there is room for.
    static let countMax = 65_536
    /// As long as so many wait apart, no more of their chains are taken: the rest of the room is for others.
    static let apartMax = countMax / 2
    /// Nor of one of them, as long as so many of it do: some chain may never take an entry.
    static let chainMax = countMax / 8

    private struct Apart {
        var entries: [AuditEntry] = []
        /// When it is to be tried again.
        var dueAt: ContinuousClock.Instant
    }

    private var entries: [AuditEntry] = []
    private var apart: [AuditChain: Apart] = [:]
    /// What was handed out last had waited apart.
    private var wasApart = false

    var hasApart: Bool { !apart.isEmpty }

    /// All that waits.
    var all: [AuditEntry] { entries + apart.values.flatMap(\.entries) }

    /// Takes what there is room for; answers for how many there is none.
    mutating func add(_ new: [AuditEntry]) -> Int {
        var apartCount = apart.values.reduce(0) { $0 + $1.entries.count }
        var lostCount = 0
        for entry in new {
            let ownCount = apart[entry.chain]?.entries.count
            let hasRoom = ownCount.map { $0 < Self.chainMax && apartCount < Self.apartMax } ?? true
            guard hasRoom, entries.count + apartCount < Self.countMax else {
                lostCount += 1
                continue
            }
            if ownCount != nil {
                apart[entry.chain]?.entries.append(entry)
                apartCount += 1
            } else {
                entries.append(entry)
            }
        }
        return lostCount
    }

    /// Hands out what is to be written next, at most `max` entries: what came first of a chain that waits apart and is
    /// due, or of all others. Neither waits for the end of the other: while both wait they take turns.
    ///
    /// - Parameter now: nil for nothing that waits apart.
    mutating func take(_ max: Int, dueBy now: ContinuousClock.Instant?) -> [AuditEntry] {
        if let now, entries.isEmpty || !wasApart {
            let batch = takeApart(max, dueBy: now)
            if !batch.isEmpty {
                wasApart = true
                return batch
            }
        }
        wasApart = false
        let batch = Array(entries.prefix(max))
        entries.removeFirst(batch.count)
        return batch
    }

    /// A chain of which nothing is left is apart no more.
    private mutating func takeApart(_ max: Int, dueBy now: ContinuousClock.Instant) -> [AuditEntry] {
        while let (chain, first) = apart.min(by: { $0.value.dueAt < $1.value.dueAt }), first.dueAt <= now {
            if first.entries.isEmpty {
                apart[chain] = nil
                continue
            }
            let batch = Array(first.entries.prefix(max))
            apart[chain]?.entries.removeFirst(batch.count)
            return batch
        }
        return []
    }

    /// Takes entries back that could not be written, before those that came later.
    mutating func putBack(_ batch: [AuditEntry]) {
        for (chain, entries) in Dictionary(grouping: batch, by: \.chain) {
            apart[chain]?.entries.insert(contentsOf: entries, at: 0)
        }
        entries.insert(contentsOf: batch.filter { apart[$0.chain] == nil }, at: 0)
    }

    /// Takes those of a batch back whose chains are locked, and sets all that waits of these chains apart until then;
    /// answers the chains that were not.
    mutating func putBack(
        _ batch: [AuditEntry], lockedIn chains: Set<AuditChain>, until dueAt: ContinuousClock.Instant
    ) -> Set<AuditChain> {
        let new = chains.subtracting(apart.keys)
        for chain in chains { apart[chain, default: Apart(dueAt: dueAt)].dueAt = dueAt }
        for entry in entries where chains.contains(entry.chain) { apart[entry.chain]?.entries.append(entry) }
        entries.removeAll { chains.contains($0.chain) }
        putBack(batch.filter { chains.contains($0.chain) })
        return new
    }
}
