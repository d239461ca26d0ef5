internal import Contracts
internal import FoundationEssentials
internal import Storage

/// Keeps a flood of refusals, of bad input too, from becoming a flood of rows: of like refusals in one minute the first
/// ones are written one by one, the rest as one row that says how many they were. Pure; the caller knows the time.
struct DenialDigest {
    static let windowSeconds: TimeInterval = 60
    static let window: Duration = .seconds(60)
    /// Like refusals of one minute that get rows of their own.
    static let singleMax = 20
    /// Different refusals told apart; beyond that they are counted together, in the installation's own log.
    static let keysMax = 4096

    private struct Key: Hashable {
        let chain: AuditChain
        let actor: String
        let action: String
        let outcome: AuditEntry.Outcome

        /// For all that are too many to tell apart.
        static let others = Key(chain: .installation, actor: "several", action: "several", outcome: .denied)
    }

    private struct Count {
        let startedAt: Date
        var seen: Int
        var last: AuditEntry
    }

    private var counts: [Key: Count] = [:]

    /// What to write now: the entry itself, or nothing when it is only counted.
    /// - Parameter actor: whom it is counted for.
    mutating func admit(_ entry: AuditEntry, of actor: String) -> [AuditEntry] {
        var key = Key(chain: entry.chain, actor: actor, action: entry.action, outcome: entry.outcome)
        if counts[key] == nil, counts.count >= Self.keysMax { key = .others }
        var written: [AuditEntry] = []
        if let old = counts[key], entry.at.timeIntervalSince(old.startedAt) >= Self.windowSeconds {
            written += Self.summary(key, old)
            counts[key] = nil
        }
        var count = counts[key] ?? Count(startedAt: entry.at, seen: 0, last: entry)
        count.seen += 1
        count.last = entry
        counts[key] = count
        if count.seen <= Self.singleMax { written.append(entry) }
        return written
    }

    /// Ends the minutes that began before `time` and tells what was only counted in them.
    mutating func close(before time: Date) -> [AuditEntry] {
        let over = counts.filter { $0.value.startedAt < time }
        for key in over.keys { counts[key] = nil }
        return over.sorted { $0.value.startedAt < $1.value.startedAt }.flatMap { Self.summary($0.key, $0.value) }
    }

    private static func summary(_ key: Key, _ count: Count) -> [AuditEntry] {
        guard count.seen > singleMax else { return [] }
        let last = count.last
        return [
            AuditEntry(
                chain: key.chain, at: last.at, actor: key.actor, actorRole: last.actorRole, action: key.action,
                resource: last.resource, outcome: key.outcome, reason: last.reason, traceID: last.traceID,
                detail: JSONWriter.object { writer in
                    writer.field("repeated", count.seen - singleMax)
                    writer.field("since", Timestamp.text(count.startedAt))
                }
            )
        ]
    }
}
