import ReleaseGateCore
import Testing

@Suite struct `The next version` {
    static let history =
        [("1.0.0", nil), ("1.1.0", nil), ("1.1.1", nil), ("1.2.0", "errors tripled")] as [(String, String?)]

    private static func minted(_ count: Int) throws -> [MintedVersion] {
        try history.prefix(count).map { MintedVersion(try #require(Version($0.0)), rolledBackFor: $0.1) }
    }

    private static func refusals(_ text: String, after count: Int) throws -> [Refusal.Code] {
        switch VersionRules.judge(try #require(Version(text)), after: try minted(count)) {
        case .accepted: []
        case .refused(let refusals): refusals.map(\.code)
        }
    }

    @Test(arguments: [
        ("1.1.2", Refusal.Code?.none), ("1.2.0", nil), ("2.0.0", nil), ("1.2.0-rc.1", nil),
        ("1.1.3", .versionSkips), ("1.3.0", .versionSkips), ("1.2.1", .versionSkips), ("3.0.0", .versionSkips),
        ("1.3.0-rc.1", .versionSkips), ("1.1.1", .versionTaken), ("1.0.1", .versionNotHigher),
        ("1.1.1-rc.2", .versionNotHigher),
    ])
    func `is exactly one step above the last`(text: String, code: Refusal.Code?) throws {
        #expect(try Self.refusals(text, after: 3) == (code.map { [$0] } ?? []))
    }

    @Test func `leaves a burned number behind, and says why`() throws {
        #expect(try Self.refusals("1.2.0", after: 4) == [.versionBurned])
        let version = try #require(Version("1.2.1"))
        guard case .accepted(let bumps, let lines) = VersionRules.judge(version, after: try Self.minted(4)) else {
            Issue.record("1.2.1 was refused")
            return
        }
        #expect(bumps == [.patch, .minor])
        #expect(lines.contains("1.2.0 is burned: it was rolled back for: errors tripled"))
    }

    @Test(arguments: [
        ("1.2.2", VersionRules.Bump?.some(.patch)), ("1.4.0", .minor), ("1.4.1-rc.1", .minor), ("3.0.1", .major),
        ("1.2.0", nil), ("1.1.9", nil),
    ])
    func `is as large as the number that changed, however far it lies from what runs`(
        text: String, size: VersionRules.Bump?
    ) throws {
        let running = try #require(Version("1.2.0"))
        #expect(VersionRules.size(of: try #require(Version(text)), over: running) == size)
    }

    @Test(arguments: [
        ("2.0.0", "2.0.0-rc.3", "", VersionRules.Bump.major), ("1.3.0", "1.3.0-rc.1", "", .minor),
        ("1.2.1", "1.2.1-rc.1", "", .patch), ("2.0.0-rc.4", "2.0.0-rc.3", "1.9.0", .major),
        ("1.2.1", "1.2.1-rc.1", "1.1.0", .minor),
    ])
    func `is over its own pre-release as large as over the last release`(
        text: String, other: String, last: String, size: VersionRules.Bump
    ) throws {
        let minted = Version(last).map { [MintedVersion($0)] } ?? []
        let (version, other) = (try #require(Version(text)), try #require(Version(other)))
        #expect(VersionRules.size(of: version, over: other, minted: minted) == size)
    }

    @Test func `as a pre-release is higher than those before it`() throws {
        let minted = try ["1.0.0", "1.1.0-rc.2"].map { MintedVersion(try #require(Version($0))) }
        func judge(_ text: String) throws -> VersionRules.Ruling {
            VersionRules.judge(try #require(Version(text)), after: minted)
        }
        #expect(
            try judge("1.1.0-rc.3")
                == .accepted(bumps: [.minor], lines: ["1.1.0-rc.3 is the next minor version after 1.0.0"]))
        guard case .refused(let refusals) = try judge("1.1.0-rc.1") else {
            Issue.record("rc.1 after rc.2 was accepted")
            return
        }
        #expect(refusals.map(\.code) == [.versionNotHigher])
    }
}

@Suite struct `Cutting a version` {
    private static let digest = "sha256:" + String(repeating: "0", count: 64)

    private static func codes(
        _ version: String, sections: String, chart: String? = nil, app: String? = nil, breaking: String? = nil,
        title: String? = nil, image: String = "registry/orchestrator:1.0.1@\(digest)"
    ) throws -> [Refusal.Code] {
        let changelog = try Changelog(
            parsing: "# Changelog\n\n## [Unreleased]\n\n## [\(title ?? version)] - 2026-11-28\n\n\(sections)\n")
        return CutRules.refusals(
            try #require(Version(version)), minted: [MintedVersion(try #require(Version("1.0.0")))],
            chart: .init(
                version: chart ?? version, appVersion: app ?? version, breaking: breaking, images: [image]),
            changelog: changelog
        ).map(\.code)
    }

    private static let broken = "### Removed\n- An API\n\n### Migration\n- Call the other one"

    @Test func `takes what fits together`() throws {
        #expect(try Self.codes("1.0.1", sections: "### Fixed\n- A leak") == [])
        #expect(try Self.codes("1.1.0", sections: "### Added\n- A gate\n\n### Fixed\n- A leak") == [])
        #expect(try Self.codes("1.1.0-rc.1", sections: "### Added\n- A gate", title: "1.1.0") == [])
        #expect(try Self.codes("2.0.0", sections: Self.broken, breaking: "the API") == [])
    }

    @Test func `refuses what does not, each thing by its name`() throws {
        #expect(try Self.codes("1.0.2", sections: "### Fixed\n- A leak") == [.versionSkips])
        #expect(try Self.codes("1.0.1", sections: "### Fixed\n- A leak", chart: "1.0.0") == [.chartVersion])
        #expect(try Self.codes("1.0.1", sections: "### Fixed\n- A leak", app: "1.0") == [.appVersion])
        #expect(try Self.codes("1.0.1", sections: "### Fixed\n- A leak", title: "1.0.0") == [.changelogEntry])
        #expect(try Self.codes("1.0.1", sections: "### Fixed\n- None") == [.changelogEmpty])
        #expect(try Self.codes("1.0.1", sections: "### Added\n- A gate") == [.changelogBump])
        #expect(try Self.codes("1.1.0", sections: "### Fixed\n- A leak") == [.changelogBump])
        #expect(try Self.codes("2.0.0", sections: "### Added\n- A gate") == [.changelogBump])
        #expect(try Self.codes("2.0.0", sections: Self.broken) == [.breakingUnannounced])
        #expect(try Self.codes("1.0.1", sections: "### Fixed\n- A leak", breaking: "the API") == [.breakingUnannounced])
        #expect(try Self.codes("2.0.0", sections: "### Removed\n- An API", breaking: "the API") == [.migrationNotes])
    }

    @Test(arguments: [
        "registry/a:latest", "registry/a:1.0.0", "registry/a", "registry/a@sha256:12", "registry/a:latest@\(digest)",
    ])
    func `refuses images that may change`(image: String) throws {
        #expect(try Self.codes("1.0.1", sections: "### Fixed\n- A leak", image: image) == [.imageFloating])
    }

    @Test(arguments: [
        ("## 1.0.0 - 2026-11-28", 1), ("## [1.0] - 2026-11-28", 1), ("## [1.0.0] - 28.11.2026", 1),
        ("\n## [1.0.0] - 2026-02-30", 2), ("## [1.0.0] - 2026-11-28\n### Improved\n- Things", 2),
    ])
    func `reads no changelog that is not one`(text: String, line: Int) throws {
        let error = #expect(throws: Changelog.ParseError.self) { try Changelog(parsing: text) }
        #expect(error?.line == line)
    }
}

@Suite struct `A train` {
    private static func train(_ dependencies: [String: [String]]) throws -> ReleaseTrain {
        let hash = String(repeating: "1", count: 64)
        return ReleaseTrain(
            version: try #require(Version("1.2.0-rc.1")),
            chart: try #require(ArtifactDigest(name: "chart", sha256: hash)),
            manifests: try #require(ArtifactDigest(name: "manifests", sha256: hash)),
            cars: try dependencies.map { service, needs in
                .init(
                    service: service, image: try #require(ArtifactDigest(name: service, sha256: hash)), dependsOn: needs
                )
            })
    }

    @Test func `is deployed from what others need, and rolled back the other way`() throws {
        let train = try Self.train([
            "orchestrator": ["peer-hub", "sandbox-executor"], "peer-hub": ["dlq-worker"], "supervisor": ["peer-hub"],
            "sandbox-executor": [], "dlq-worker": [],
        ])
        let order = ["dlq-worker", "peer-hub", "sandbox-executor", "orchestrator", "supervisor"]
        #expect(try train.deployOrder() == order)
        #expect(try train.rollbackOrder() == order.reversed())
    }

    @Test func `that has no order is refused`() throws {
        #expect(throws: ReleaseTrain.OrderError.cycle(["a", "b"])) {
            try Self.train(["a": ["b"], "b": ["a"], "c": []]).deployOrder()
        }
        #expect(throws: ReleaseTrain.OrderError.unknown(service: "a", dependency: "x")) {
            try Self.train(["a": ["x"]]).deployOrder()
        }
    }

    @Test func `has not drifted while it runs what was promoted`() throws {
        let train = try Self.train(["a": [], "b": []])
        let hash = String(repeating: "1", count: 64)
        #expect(train.drift(running: ["a": hash, "b": "sha256:\(hash)"]) == [])
        #expect(train.drift(running: ["a": String(repeating: "2", count: 64)]).count == 2)
    }
}
