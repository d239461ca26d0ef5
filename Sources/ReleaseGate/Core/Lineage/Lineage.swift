/// The chain of everything that ever happened: each entry holds the hash of the one before.
package enum Lineage {
    /// What stands in the first entry as the hash before it.
    package static let genesis = String(repeating: "0", count: 2 * Digest.byteCount)

    /// What is wrong with a chain, by the entry at which it shows.
    package struct Fault: Sendable, Equatable, CustomStringConvertible {
        package enum Kind: String, Sendable { case gap, chain }

        package let sequence: Int
        package let kind: Kind

        package var description: String {
            switch kind {
            case .gap: "lineage entry \(sequence) is missing or stands elsewhere"
            case .chain: "lineage entry \(sequence) does not follow from the one before it, which was changed"
            }
        }
    }

    package static func entry(_ event: LineageEntry.Event, after last: LineageEntry?) throws -> LineageEntry {
        LineageEntry(
            sequence: last.map { $0.sequence + 1 } ?? 0,
            previousSHA256: try last.map { try Canonical.digest($0).hexadecimal } ?? genesis, event: event)
    }

    /// The first fault of a whole chain from its first entry; nil when there is none. The last entry's own content is
    /// held by the checkpoint alone: nothing follows it yet.
    package static func fault(in entries: [LineageEntry]) throws -> Fault? {
        var previous = genesis
        for (index, entry) in entries.enumerated() {
            if entry.sequence != index { return Fault(sequence: index, kind: .gap) }
            if entry.previousSHA256 != previous { return Fault(sequence: index, kind: .chain) }
            previous = try Canonical.digest(entry).hexadecimal
        }
        return nil
    }

    /// Whether the entries begin with those that were committed to: nothing was taken off or exchanged since.
    package static func grew(from size: Int, root: Digest, to entries: [LineageEntry]) throws -> Bool {
        guard size <= entries.count else { return false }
        return try tree(Array(entries.prefix(size))).root == root
    }

    /// The leaves of the Merkle tree: the entries' canonical bytes.
    package static func tree(_ entries: [LineageEntry]) throws -> MerkleTree {
        MerkleTree(leaves: try entries.map { try Canonical.bytes($0) })
    }

    /// The entry that an environment's standing certificate is about, or nil: a verification that failed later takes
    /// the right to promote away, and a rollback for good, whatever was sealed.
    package static func seal(
        of version: Version, in environment: DeployEnvironment, by entries: [LineageEntry]
    ) -> LineageEntry? {
        let events = entries.filter { $0.event.environment == environment && $0.event.version == version }
        guard let seal = events.last(where: { $0.event.kind == .seal }) else { return nil }
        let isRevoked = events.contains { entry in
            entry.event.kind == .rollback || (entry.event.kind == .revocation && entry.sequence > seal.sequence)
        }
        return isRevoked ? nil : seal
    }

    /// What runs in an environment, as far as it was recorded: the newest seal, or Helm's newest deployment, that was
    /// not rolled back and has not been uninstalled since.
    package static func running(in environment: DeployEnvironment, by entries: [LineageEntry]) -> LineageEntry? {
        let here = entries.filter { $0.event.environment == environment }
        let burned = Set(here.filter { $0.event.kind == .rollback }.map(\.event.version))
        // What is imported happened before the entries that it stands after.
        let inTime = here.sorted { ($0.event.atSeconds, $0.sequence) < ($1.event.atSeconds, $1.sequence) }
        let since = inTime.lastIndex { $0.event.kind == .uninstall }.map { $0 + 1 } ?? 0
        return inTime[since...].last { $0.event.isDeployment && !burned.contains($0.event.version) }
    }

    /// Whether a version was taken back in an environment: it is no way back from another then.
    package static func isRolledBack(
        _ version: Version, in environment: DeployEnvironment, by entries: [LineageEntry]
    ) -> Bool {
        entries.map(\.event).contains {
            $0.kind == .rollback && $0.environment == environment && $0.version == version
        }
    }

    /// What ran in an environment when a version's walk began there, or now when none did: what it replaces, and what
    /// the way back leads to.
    package static func predecessor(
        of version: Version, in environment: DeployEnvironment, by entries: [LineageEntry]
    ) -> Version? {
        running(in: environment, by: before(version, in: environment, by: entries))?.event.version
    }

    /// What a version replaces, given what is said to run there: where the lineage knows of none, or holds a promotion
    /// of that one later than what it thinks runs, a person may have completed it, and the saying holds.
    package static func replaced(
        by version: Version, said: Version?, in environment: DeployEnvironment, by entries: [LineageEntry]
    ) -> Version? {
        let others = before(version, in: environment, by: entries)
        guard let running = running(in: environment, by: others) else { return said }
        guard let said, said != running.event.version else { return running.event.version }
        let own = others.filter { $0.event.environment == environment && $0.event.version == said }
        let isBurned = own.contains { $0.event.kind == .rollback }
        let isPromoted = own.contains { entry in
            entry.event.kind == .promote
                && (entry.event.atSeconds, entry.sequence) > (running.event.atSeconds, running.sequence)
        }
        return isPromoted && !isBurned ? said : running.event.version
    }

    /// Where a version's way back leads: to what it replaces; but where nobody records promotions the lineage cannot
    /// know what a person completed, and the saying holds, unless that one was rolled back.
    package static func wayBack(
        from version: Version, said: Version?, in environment: DeployEnvironment, by entries: [LineageEntry]
    ) -> Version? {
        let isRecorded = entries.map(\.event).contains { $0.kind == .promote && $0.environment == environment }
        if let said, !isRecorded, !isRolledBack(said, in: environment, by: entries) { return said }
        return replaced(by: version, said: said, in: environment, by: entries)
    }

    /// What happened to other versions before a version's walk began, or until now when none did, and each
    /// uninstallation: that takes away all that ran.
    private static func before(
        _ version: Version, in environment: DeployEnvironment, by entries: [LineageEntry]
    ) -> [LineageEntry] {
        let begun = entries.first {
            $0.event.environment == environment && $0.event.version == version && $0.event.kind == .install
        }
        return entries.filter { entry in
            guard entry.event.version != version || entry.event.kind == .uninstall else { return false }
            // What was taken back later does not run either.
            guard let begun, entry.event.kind != .rollback else { return true }
            return (entry.event.atSeconds, entry.sequence) < (begun.event.atSeconds, begun.sequence)
        }
    }

    /// Every version that was ever cut, with why it was rolled back if it was.
    package static func minted(_ entries: [LineageEntry]) -> [MintedVersion] {
        var order: [Version] = []
        var reasons: [Version: String] = [:]
        for entry in entries {
            let event = entry.event
            if !order.contains(event.version) { order.append(event.version) }
            if event.kind == .rollback { reasons[event.version] = event.reason }
        }
        return order.map { MintedVersion($0, rolledBackFor: reasons[$0]) }
    }
}
