/// A version that was given to something once. It is never given again.
package struct MintedVersion: Sendable, Equatable, Codable {
    package let version: Version
    /// Why it was rolled back; nil while it stands. The number is burned then: the gap it leaves is explained by this.
    package let rolledBackFor: String?

    package init(_ version: Version, rolledBackFor: String? = nil) {
        self.version = version
        self.rolledBackFor = rolledBackFor
    }
}

/// What the next version may be.
package enum VersionRules {
    package enum Bump: String, Sendable, Codable, CaseIterable { case patch, minor, major }

    package enum Ruling: Sendable, Equatable {
        /// - Parameter bumps: how large a change the number may stand for: one, or two after a number that was burned
        ///   (1.2.1 after a burned 1.2.0 is a fix of it, or brings what it should have brought); none for the first.
        case accepted(bumps: [Bump], lines: [String])
        case refused([Refusal])
    }

    /// Exactly patch + 1, minor + 1 or major + 1 over the last release that was minted, burned ones included; or a
    /// pre-release on the way to one of these, higher than those before it.
    package static func judge(_ proposed: Version, after minted: [MintedVersion]) -> Ruling {
        if let taken = minted.first(where: { $0.version == proposed }) {
            guard let reason = taken.rolledBackFor else {
                return .refused([Refusal(.versionTaken, "\(proposed) was released before")])
            }
            return .refused([Refusal(.versionBurned, "\(proposed) is burned: it was rolled back for: \(reason)")])
        }
        let siblings = minted.map(\.version).filter { $0.isPrerelease && $0.release == proposed.release }
        if proposed.isPrerelease, let newest = siblings.max(), proposed < newest {
            return .refused([Refusal(.versionNotHigher, "\(proposed) is not higher than \(newest)")])
        }
        guard let last = minted.map(\.version).filter({ !$0.isPrerelease }).max() else {
            return .accepted(bumps: [], lines: ["\(proposed) is the first version"])
        }
        guard proposed > last else {
            return .refused([Refusal(.versionNotHigher, "\(proposed) is not higher than \(last)")])
        }
        guard let bump = bump(from: last, to: proposed.release) else {
            let choices = "\(last.nextPatch), \(last.nextMinor) or \(last.nextMajor)"
            return .refused([Refusal(.versionSkips, "\(proposed) skips: after \(last) comes \(choices)")])
        }
        var bumps = [bump]
        let standing = minted.filter { $0.rolledBackFor == nil && !$0.version.isPrerelease }.map(\.version).max()
        if let standing, standing != last, let size = size(of: proposed, over: standing) { bumps.append(size) }
        let unique = Bump.allCases.filter(bumps.contains)
        return .accepted(bumps: unique, lines: lines(proposed, last: last, bump: bump, minted: minted))
    }

    /// Which number changed, however many lie between the two: those that were burned were never released. Nil unless
    /// `version` is higher.
    ///
    /// - Parameter minted: what was released before. Over a pre-release of its own, a version is as large as it is over
    ///   the last release proper; where none is known, as its own number says.
    package static func size(of version: Version, over other: Version, minted: [MintedVersion] = []) -> Bump? {
        guard version > other else { return nil }
        if other.release == version.release {
            let standing = minted.filter { $0.rolledBackFor == nil && !$0.version.isPrerelease }.map(\.version)
            if let last = standing.filter({ $0 < other }).max() { return size(of: version, over: last) }
            return version.patch > 0 ? .patch : version.minor > 0 ? .minor : .major
        }
        if version.major != other.major { return .major }
        return version.minor != other.minor ? .minor : .patch
    }

    /// Nil unless `next` is one of the three that may follow.
    package static func bump(from last: Version, to next: Version) -> Bump? {
        switch next {
        case last.nextPatch: .patch
        case last.nextMinor: .minor
        case last.nextMajor: .major
        default: nil
        }
    }

    private static func lines(
        _ proposed: Version, last: Version, bump: Bump, minted: [MintedVersion]
    ) -> [String] {
        var lines = ["\(proposed) is the next \(bump.rawValue) version after \(last)"]
        for burned in minted where burned.version == last {
            if let reason = burned.rolledBackFor {
                lines.append("\(last) is burned: it was rolled back for: \(reason)")
            }
        }
        return lines
    }
}
