import Foundation
import ReleaseGateCore
import Synchronization
import Testing

@testable import ReleaseGateService

/// What controllers are answered by, asked by many at once.
@Suite(.timeLimit(.minutes(10))) struct `The gate's judge` {
    /// Knows nothing, and counts how often it is asked; until it is told to answer, whoever asks waits to be cancelled.
    private final class Asked: EvidenceSource {
        let name = "test"
        private let reads = Mutex(0)
        private let isAnswering = Mutex(true)
        /// Told of each read.
        private let onRead: @Sendable () -> Void

        var count: Int { reads.withLock { $0 } }

        init(isAnswering: Bool = true, onRead: @escaping @Sendable () -> Void = {}) {
            self.onRead = onRead
            self.isAnswering.withLock { $0 = isAnswering }
        }

        func answer() { isAnswering.withLock { $0 = true } }

        func read(
            _ selectors: [SeriesSelector], from start: Date, to end: Date
        ) async throws(GateError) -> [SelectorReading] {
            reads.withLock { $0 += 1 }
            onRead()
            let waits = isAnswering.withLock { !$0 }
            while waits {
                if Task.isCancelled { throw GateError(.unreachable, "whoever asked has left") }
                await Task.yield()
            }
            await Task.yield()
            return selectors.map { _ in SelectorReading(series: []) }
        }
    }

    private static func judge(_ folder: ReleaseFolder, _ source: Asked) throws -> GateJudge {
        let session = GateSession(
            configuration: try GateConfiguration(file: folder.path + "/gate.yaml"), source: source, scrape: nil,
            book: LineageBook(store: FolderLineage(folder: folder.path + "/lineage")), console: .silent,
            clock: folder.time.clock, actor: "test", webhook: nil)
        return GateJudge(session: session, release: try folder.release, environment: .dev)
    }

    private static func folder() throws -> ReleaseFolder {
        let folder = try ReleaseFolder()
        try folder.writeRelease("1.2.0-rc.1")
        try folder.keepFirstService()
        return folder
    }

    @Test func `asks the source once, however many ask it at once`() async throws {
        let folder = try Self.folder()
        var counts: [Int] = []
        for askers in [1, 20] {
            let source = Asked()
            let judge = try Self.judge(folder, source)
            let decisions = try await withThrowingTaskGroup(of: DecisionRecord.self) { group in
                for _ in 0..<askers { group.addTask { try await judge.decision() } }
                return try await group.reduce(into: [DecisionRecord]()) { $0.append($1) }
            }
            #expect(decisions.count == askers)
            counts.append(source.count)
        }
        #expect(counts[0] > 0 && counts[1] == counts[0], "\(counts)")
    }

    @Test func `tells what it has seen for a while, however long the look took`() async throws {
        let folder = try Self.folder()
        let source = Asked { folder.time.advance(by: 60) }
        let judge = try Self.judge(folder, source)
        let first = try await judge.decision()
        let count = source.count
        let again = try await judge.decision()
        #expect(count > 2 && source.count == count, "a look of more than 120 s counts from its end")
        #expect(again.input.atSeconds == first.input.atSeconds)
        folder.time.advance(by: 120)
        _ = try await judge.decision()
        #expect(source.count > count)
    }

    @Test func `takes no step's decision for another's`() async throws {
        let source = Asked()
        let judge = try Self.judge(try Self.folder(), source)
        #expect(judge.steps == 1...3)
        for step in judge.steps { #expect(try await judge.decision(at: step).input.step.index == step - 1) }
        #expect(try await judge.decision().input.step.index == 2, "without a walk it is the last")
        let count = source.count
        for step in judge.steps { #expect(try await judge.decision(at: step).input.step.index == step - 1) }
        #expect(source.count == count, "they are known")
    }

    @Test func `does not stop the way back from a version that was sealed`() async throws {
        let folder = try ReleaseFolder()
        let path = folder.path
        try await folder.gate { try await $0.cut(version: "1.2.0-rc.1", chart: path + "/chart", changelog: nil) }
        try folder.writeRelease("1.2.0-rc.1")
        let release = try folder.release
        let code = try await folder.gate { try await $0.canary(release, environment: "dev", isArmed: true) }
        #expect(code == 0)
        try await folder.gate {
            try await $0.rollback(release, environment: "dev", reason: "it is bad", isArmed: true)
        }
        let record = try await folder.gate {
            try await GateJudge(session: $0, release: release, environment: .dev).decision(at: 1)
        }
        #expect(record.decision.outcome == .hold && record.decision.row == .barred, "\(record.decision.lines)")
        let obstacle = try await folder.gate {
            try await GateJudge(session: $0, release: release, environment: .dev).mayBegin()
        }
        #expect(obstacle == nil)
    }

    @Test func `lets nothing begin that it rejected, whoever took it back`() async throws {
        let folder = try ReleaseFolder()
        try folder.writeEvidence(badCanary: "billing", from: ReleaseFolder.start.addingTimeInterval(3600))
        try folder.writeRelease("1.2.0-rc.1")
        let release = try folder.release
        let code = try await folder.gate { try await $0.canary(release, environment: "dev", isArmed: true) }
        #expect(code == 20)
        try await folder.gate {
            try await $0.rollback(release, environment: "dev", reason: "it is bad", isArmed: true)
        }
        let obstacle = try await folder.gate {
            try await GateJudge(session: $0, release: release, environment: .dev).mayBegin()
        }
        #expect(obstacle == "1.2.0-rc.1 was rolled back in dev")
    }

    @Test func `holds nobody to promotions that its lineage has none of`() async throws {
        let folder = try Self.folder()
        let release = try folder.release
        @Sendable func obstacle() async throws -> String? {
            try await folder.gate {
                try await GateJudge(session: $0, release: release, environment: .prod).mayBegin()
            }
        }
        #expect(try await obstacle() == nil)
        let other = LineageEntry.Event(
            atSeconds: 0, environment: .prod, version: try #require(Version("1.1.0")), digests: [], kind: .promote,
            actor: "ann", reason: "from staging")
        try await folder.gate { _ = try await $0.book.record(other) }
        #expect(try await obstacle()?.contains("was not promoted to prod") == true)
    }

    @Test func `answers the others when who asked first leaves`() async throws {
        let source = Asked(isAnswering: false)
        let judge = try Self.judge(try Self.folder(), source)
        let first = Task { try await judge.decision() }
        while source.count == 0 { try await Task.sleep(for: .milliseconds(5)) }
        source.answer()
        let second = Task { try await judge.decision() }
        for _ in 0..<100 { await Task.yield() }
        first.cancel()
        #expect(try await second.value.decision.outcome == .extend)
        await #expect(throws: GateError.self) { try await first.value }
    }
}
