/// What must fit together when a version is cut: number, chart, changelog and images.
package enum CutRules {
    /// What the chart says of itself.
    package struct Chart: Sendable, Equatable {
        package let version: String
        package let appVersion: String
        /// The annotation that names what breaks; nil without one.
        package let breaking: String?
        /// Image references as rendered.
        package let images: [String]

        package init(version: String, appVersion: String, breaking: String?, images: [String]) {
            self.version = version
            self.appVersion = appVersion
            self.breaking = breaking
            self.images = images
        }
    }

    /// Everything that is wrong; empty when the version may be cut.
    package static func refusals(
        _ version: Version, minted: [MintedVersion], chart: Chart, changelog: Changelog
    ) -> [Refusal] {
        var refusals = chartRefusals(version, chart)
        var bumps: [VersionRules.Bump] = []
        switch VersionRules.judge(version, after: minted) {
        case .refused(let reasons): refusals = reasons + refusals
        case .accepted(let accepted, _): bumps = accepted
        }
        refusals += changelogRefusals(version, bumps: bumps, chart: chart, changelog: changelog)
        return refusals + chart.images.compactMap(floating)
    }

    private static func chartRefusals(_ version: Version, _ chart: Chart) -> [Refusal] {
        var refusals: [Refusal] = []
        if chart.version != version.description {
            refusals.append(Refusal(.chartVersion, "Chart.yaml has version \(chart.version), not \(version)"))
        }
        if chart.appVersion != version.description {
            refusals.append(Refusal(.appVersion, "Chart.yaml has appVersion \(chart.appVersion), not \(version)"))
        }
        return refusals
    }

    private static func changelogRefusals(
        _ version: Version, bumps: [VersionRules.Bump], chart: Chart, changelog: Changelog
    ) -> [Refusal] {
        // A pre-release may stand under the title of the release that it is on the way to.
        guard let top = changelog.top, let named = top.version, named == version || named == version.release else {
            let found = changelog.top?.version.map(\.description) ?? "nothing"
            return [Refusal(.changelogEntry, "the newest entry of CHANGELOG.md is \(found), not \(version)")]
        }
        guard !top.items.isEmpty else { return [Refusal(.changelogEmpty, "the entry of \(named) says nothing")] }
        guard !bumps.isEmpty else { return [] }
        return bumpRefusals(bumps, version, top, isAnnotated: chart.breaking?.isEmpty == false)
    }

    /// How large a change the entry's sections describe.
    package static func change(in entry: Changelog.Entry, of version: Version) -> VersionRules.Bump {
        let headings = Set(entry.items.keys)
        // Before 1.0.0 anything may change, and the minor number says so.
        if !headings.isDisjoint(with: [.removed, .breaking]) { return version.major == 0 ? .minor : .major }
        return headings.isDisjoint(with: [.added, .changed, .deprecated]) ? .patch : .minor
    }

    /// The sections say how much changed; the number must say the same.
    private static func bumpRefusals(
        _ bumps: [VersionRules.Bump], _ version: Version, _ entry: Changelog.Entry, isAnnotated: Bool
    ) -> [Refusal] {
        let needed = change(in: entry, of: version)
        let breaks = needed == .major || !Set(entry.items.keys).isDisjoint(with: [.removed, .breaking])
        var refusals: [Refusal] = []
        if !bumps.contains(needed) {
            let sections = Changelog.Heading.allCases.filter { entry.items[$0] != nil }.map(\.rawValue)
            let (list, sizes) = (sections.joined(separator: ", "), bumps.map(\.rawValue).joined(separator: " or "))
            refusals.append(
                Refusal(.changelogBump, "\(list) make a \(needed.rawValue) version, this is a \(sizes) one"))
        }
        if breaks != isAnnotated {
            let text =
                isAnnotated
                ? "Chart.yaml announces a breaking change, the changelog has none"
                : "a breaking change is not announced in Chart.yaml's annotations"
            refusals.append(Refusal(.breakingUnannounced, text))
        }
        if breaks, entry.items[.migration] == nil {
            refusals.append(Refusal(.migrationNotes, "a breaking version needs a section Migration"))
        }
        return refusals
    }

    /// An image must be named by its digest, and `latest` is not even a name beside one.
    private static func floating(_ image: String) -> Refusal? {
        let halves = image.split(separator: "@", maxSplits: 1)
        let isPinned =
            halves.count == 2 && halves[1].hasPrefix("sha256:") && Digest(hexadecimal: halves[1].dropFirst(7)) != nil
        if !isPinned { return Refusal(.imageFloating, "\(image) is not named by its digest") }
        if halves[0].hasSuffix(":latest") { return Refusal(.imageFloating, "\(image) is called latest") }
        return nil
    }
}
