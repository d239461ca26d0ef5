import Foundation
import ReleaseGateCore
import ReleaseGateService
import TestSupport
import Testing

/// Where a walk stands, by what was recorded of it.
@Suite(.timeLimit(.minutes(10))) struct `The state of a walk` {
    private static let first = GateInput.Step(index: 0, beganSeconds: 0)
    private static let second = GateInput.Step(index: 1, beganSeconds: 200)

    private static func event(
        _ kind: LineageEntry.Kind, at seconds: Int, _ decision: Decision.Outcome? = nil, of step: GateInput.Step? = nil,
        reason: String = "because", digit: String = "a", version: String = "1.2.0"
    ) throws -> LineageEntry.Event {
        let image = try #require(ArtifactDigest(name: "ledger", sha256: String(repeating: digit, count: 64)))
        return LineageEntry.Event(
            atSeconds: seconds, environment: .dev, version: try #require(Version(version)), digests: [image],
            kind: kind, actor: "ada", decision: decision, step: step, reason: reason)
    }

    private static func state(_ events: LineageEntry.Event...) throws -> WalkState {
        var entries: [LineageEntry] = []
        for event in events { entries.append(try Lineage.entry(event, after: entries.last)) }
        return WalkState(entries, environment: .dev, version: try #require(Version("1.2.0")))
    }

    @Test func `takes decisions of its own step alone`() throws {
        let install = try Self.event(.install, at: 0)
        let advance = try Self.event(.decision, at: 100, .advance, of: Self.first)
        let stray = try Self.event(.decision, at: 100, .seal, of: GateInput.Step(index: 2, beganSeconds: 40))
        #expect(try Self.state(stray).phase == .notBegun)
        #expect(try Self.state(install, stray).phase == .walking)
        let other = try Self.event(.decision, at: 100, .advance, of: Self.first, digit: "b")
        #expect(try Self.state(install, other).phase == .walking, "it is of another image")
        let decided = try Self.state(install, advance, stray)
        #expect(decided.phase == .decided(.advance, atSeconds: 100) && decided.decision?.sequence == 1)
        let step = try Self.event(.step, at: 200)
        let late = try Self.event(.decision, at: 300, .seal, of: Self.first)
        let walking = try Self.state(install, advance, step, late)
        #expect(walking.phase == .walking && walking.step == Self.second)
    }

    @Test func `goes on only from the decision that says so`() throws {
        let install = try Self.event(.install, at: 0)
        let advance = try Self.event(.decision, at: 100, .advance, of: Self.first)
        let seal = try Self.event(.seal, at: 200)
        #expect(try Self.state(seal).phase == .notBegun)
        #expect(try Self.state(install, seal).phase == .walking)
        #expect(try Self.state(install, advance, seal).phase == .decided(.advance, atSeconds: 100))
        #expect(try Self.state(install, try Self.event(.step, at: 200)).step == Self.first)
        let proven = try Self.event(.decision, at: 100, .seal, of: Self.first)
        #expect(try Self.state(install, proven, seal).phase == .sealed)
        #expect(try Self.state(install, proven, seal, install).phase == .sealed)
    }

    @Test func `ends where another version's walk begins before its own has ended`() throws {
        let install = try Self.event(.install, at: 0)
        let advance = try Self.event(.decision, at: 100, .advance, of: Self.first)
        let other = try Self.event(.install, at: 150, version: "1.2.1")
        let by = WalkState.Phase.superseded(by: try #require(Version("1.2.1")))
        #expect(try Self.state(install, other).phase == by)
        #expect(try Self.state(install, advance, other).phase == by)
        #expect(try Self.state(install, other, advance, try Self.event(.step, at: 200)).phase == by)
        #expect(try Self.state(install, other, try Self.event(.rollback, at: 200)).phase == .rolledBack)
        #expect(try Self.state(other, install).phase == .walking, "that one began before")
    }

    @Test func `is replaced by what was sealed after it, until that is rolled back`() throws {
        let install = try Self.event(.install, at: 0)
        let proven = try Self.event(.decision, at: 100, .seal, of: Self.first)
        let seal = try Self.event(.seal, at: 200)
        let next = try Self.event(.seal, at: 300, version: "1.2.1")
        let replaced = try Self.state(install, proven, seal, next)
        #expect(replaced.successors.map(\.event.atSeconds) == [300])
        let back = try Self.state(install, proven, seal, next, try Self.event(.rollback, at: 400, version: "1.2.1"))
        #expect(back.successors.isEmpty && back.nextSeal?.event.atSeconds == 300)
    }

    @Test func `does not come back from a rollback, nor from one that was begun`() throws {
        let install = try Self.event(.install, at: 0)
        let proven = try Self.event(.decision, at: 100, .seal, of: Self.first)
        let seal = try Self.event(.seal, at: 200)
        for end in [
            try Self.event(.rollback, at: 90), try Self.event(.intent, at: 90, reason: "rollback to 0%"),
        ] {
            #expect(try Self.state(end, install).phase == .rolledBack)
            #expect(try Self.state(install, end, proven, seal).phase == .rolledBack)
            #expect(try Self.state(install, proven, end, seal).phase == .rolledBack)
            #expect(try Self.state(install, proven, seal, end).phase == .rolledBack)
        }
    }
}

/// A walk with whatever happens beside it.
@Suite(.timeLimit(.minutes(10))) struct `A walk` {
    /// The first step's time is over then.
    private static let decides = ReleaseFolder.start.addingTimeInterval(3600 + 1200)

    private static func folder() throws -> ReleaseFolder {
        let folder = try ReleaseFolder()
        try folder.writeRelease("1.2.0-rc.1")
        return folder
    }

    private static func walk(
        _ folder: ReleaseFolder, clock: GateClock? = nil, supersedes: Bool = false
    ) async throws -> Int32 {
        let release = try folder.release
        return try await folder.gate(clock: clock) {
            try await $0.canary(release, environment: "dev", isArmed: true, supersedes: supersedes)
        }
    }

    private static func events(_ folder: ReleaseFolder) async throws -> [LineageEntry.Event] {
        try await folder.gate { try await $0.book.entries().map(\.event) }
    }

    /// The folder's time, in which something happens while the gate sleeps until a moment.
    private static func clock(
        _ folder: ReleaseFolder, at moment: Date, _ happens: @escaping @Sendable () async throws -> Void
    ) -> GateClock {
        let time = folder.time.clock
        return GateClock(
            now: time.now,
            sleep: { date in
                try await time.sleep(date)
                if date == moment { try await happens() }
            })
    }

    @Test func `gives each step its whole time from when its weight was set`() async throws {
        let folder = try Self.folder()
        let path = folder.path
        try folder.write(
            "kubectl", "#!/bin/sh\n[ -e '\(path)/mended' ] || exit 7\necho \"$@\" >> '\(path)/commands'\n",
            executable: true)
        let error = await #expect(throws: GateError.self) { try await Self.walk(folder) }
        #expect(error?.code == .adapterFailed)
        // No moment at which a walk that nothing stops would look.
        folder.time.advance(by: 90 * 60 + 10)
        try folder.write("mended", "")
        #expect(try await Self.walk(folder) == 0)
        let events = try await Self.events(folder)
        let place = try #require(events.firstIndex { $0.kind == .step })
        let set = Int(Self.decides.timeIntervalSince1970) + 90 * 60 + 10
        #expect(events[place].atSeconds == set)
        let next = try #require(events[place...].first { $0.kind == .decision })
        #expect(next.decision == .advance && next.atSeconds >= set + 1200, "\(next.atSeconds - set) s")
        #expect(events.last?.kind == .seal)
    }

    @Test func `carries nothing out once somebody has rolled back while it slept`() async throws {
        let folder = try Self.folder()
        let release = try folder.release
        let clock = Self.clock(folder, at: Self.decides) {
            try await folder.gate {
                try await $0.rollback(release, environment: "dev", reason: "it is bad", isArmed: true)
            }
        }
        #expect(try await Self.walk(folder, clock: clock) == 20)
        #expect(try folder.commands() == ReleaseFolder.services.reversed().map { "rollback \($0) it is bad" })
        #expect(try await Self.events(folder).map(\.kind) == [.install, .intent, .rollback])
    }

    @Test func `says so when somebody rolls back while its commands run`() async throws {
        let folder = try Self.folder()
        let path = folder.path
        let gate = try LineProcess.built("release-gate")
        try folder.write(
            "kubectl",
            """
            #!/bin/sh
            [ -e '\(path)/back' ] && exit
            touch '\(path)/back'
            cd '\(path)' && exec '\(gate)' rollback --env dev --reason 'it is bad'

            """, executable: true)
        let error = await #expect(throws: GateError.self) { try await Self.walk(folder) }
        #expect(error?.code == .adapterFailed && error?.message.contains("while these commands ran") == true)
        #expect(try await Self.events(folder).map(\.kind) == [.install, .decision, .intent, .rollback])
        #expect(try await Self.walk(folder) == 20)
    }

    @Test func `has the canary for itself until it has ended`() async throws {
        let folder = try Self.folder()
        // Without evidence it holds.
        try folder.writeEvidence(of: [])
        #expect(try await Self.walk(folder) == 10)
        try folder.writeEvidence()
        try folder.writeRelease("1.2.0-rc.2")
        let early = await #expect(throws: GateError.self) { try await Self.walk(folder) }
        #expect(early?.code == .refused && early?.message.contains("The walk of 1.2.0-rc.1 in dev") == true)
        #expect(try await Self.events(folder).map(\.kind) == [.install, .decision])
        #expect(try await Self.walk(folder, supersedes: true) == 0)
        _ = try folder.commands()
        let before = try await Self.events(folder)
        try folder.writeRelease("1.2.0-rc.1")
        for supersedes in [false, true] {
            let late = await #expect(throws: GateError.self) { try await Self.walk(folder, supersedes: supersedes) }
            #expect(late?.code == .refused, "\(String(describing: late))")
            #expect(late?.message.contains("1.2.0-rc.2 has taken the place of 1.2.0-rc.1 in dev") == true)
        }
        let release = try folder.release
        let judged = await #expect(throws: GateError.self) {
            try await folder.gate { session in
                var question = GateSession.Question()
                question.environment = "dev"
                return try await session.evaluate(release, question)
            }
        }
        #expect(judged?.code == .refused)
        #expect(try folder.commands().isEmpty)
        #expect(try await Self.events(folder) == before)
    }

    @Test func `is neither begun nor ended by decisions that are recorded beside it`() async throws {
        let folder = try Self.folder()
        let release = try folder.release
        @Sendable func record(step: Int?) async throws {
            var question = GateSession.Question()
            question.environment = "dev"
            question.step = step
            question.isRecorded = true
            let asked = question
            #expect(try await folder.gate { try await $0.evaluate(release, asked) } == 0)
        }
        try await record(step: nil)
        let clock = Self.clock(folder, at: Self.decides.addingTimeInterval(-120)) { try await record(step: 3) }
        #expect(try await Self.walk(folder, clock: clock) == 0)
        #expect(
            try await Self.events(folder).map(\.kind) == [
                .decision, .install, .decision, .decision, .intent, .step, .decision, .intent, .step, .decision,
                .intent, .seal,
            ])
        #expect(try folder.commands().first == "advance ledger 50")
    }
}
