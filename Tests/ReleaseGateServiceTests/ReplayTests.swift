import Contracts
import Foundation
import ReleaseGateCore
import ReleaseGateService
import TestSupport
import Testing

/// Decisions that were made one by one through the service, made again from what it kept.
@Suite(.timeLimit(.minutes(10))) struct `Two hundred recorded decisions` {
    /// Each kind of evidence has a lineage of its own, so that none grows long.
    private static let count = 50

    private struct Kind {
        let candidate: Int
        let badCanary: Bool
        var more = ""
    }

    private static let kinds = [
        Kind(candidate: 1, badCanary: false), Kind(candidate: 2, badCanary: true),
        Kind(candidate: 3, badCanary: true, more: "schema: past_contract"),
        Kind(candidate: 4, badCanary: false, more: "schema: past_contract"),
    ]

    /// Records decisions of one release of one service, at all steps, looked at early and late.
    private static func recorded(_ kind: Kind) async throws -> ReleaseFolder {
        let folder = try ReleaseFolder()
        let start = ReleaseFolder.start
        try folder.writeEvidence(
            badCanary: kind.badCanary ? "ledger" : nil, from: start.addingTimeInterval(6 * 3600),
            of: ["ledger"])
        try folder.writeRelease("1.2.0-rc.\(kind.candidate)", more: kind.more)
        try folder.keepFirstService()
        let release = try folder.release
        try await folder.gate { session in
            for number in 0..<count {
                var question = GateSession.Question()
                question.environment = ["dev", "staging", "prod"][number % 3]
                question.at = Int(start.timeIntervalSince1970) + 3600 + number * 720
                question.began = (question.at ?? 0) - 120 * (1 + number * 7 % 30)
                question.step = 1 + number % 3
                question.isRecorded = true
                _ = try await session.evaluate(release, question)
            }
        }
        return folder
    }

    private func replay(_ path: String) async throws -> Command.Outcome {
        try await blocking {
            try Command.run(try LineProcess.built("release-gate"), ["replay"], folder: path)
        }
    }

    @Test func `are the same, byte for byte, and an altered one is named`() async throws {
        var folders: [ReleaseFolder] = []
        for kind in Self.kinds { folders.append(try await Self.recorded(kind)) }
        var (outcomes, documents) = (Set<Decision.Outcome>(), Set<String>())
        for folder in folders {
            let same = try await replay(folder.path)
            #expect(same.status == 0 && same.output.contains("50 of 50 decisions are the same"), "\(same.output)")
            let entries = try await folder.gate { try await $0.book.entries() }
            outcomes.formUnion(entries.compactMap(\.event.decision))
            documents.formUnion(entries.compactMap(\.event.evidenceSHA256))
        }
        #expect(outcomes.count >= 4, "\(outcomes)")
        #expect(documents.count == 200, "no two are one")

        // One letter of what the 21st depended on.
        let (folder, path) = (folders[1], folders[1].path)
        let entries = try await folder.gate { try await $0.book.entries() }
        let document = "\(path)/lineage/documents/\(try #require(entries[20].event.evidenceSHA256))"
        let whole = try Data(contentsOf: URL(filePath: document))
        try folder.damage(document, at: whole.count / 2)
        let damaged = try await replay(path)
        #expect(damaged.status == 2 && damaged.output.contains("The evidence of entry 20"), "\(damaged.output)")
        try whole.write(to: URL(filePath: document))

        // A chain that holds in itself, in which somebody decided otherwise than the evidence does.
        let forged = LineageBook(store: FolderLineage(folder: path + "/forged"))
        let records = try entries.prefix(30).map { entry in
            let sha256 = try #require(entry.event.evidenceSHA256)
            let bytes = try Data(contentsOf: URL(filePath: "\(path)/lineage/documents/\(sha256)"))
            return try Canonical.decode(DecisionRecord.self, from: bytes)
        }
        let other = try #require(records.first { $0.decision.outcome != records[20].decision.outcome })
        for (index, record) in records.enumerated() {
            let decision = index == 20 ? other.decision : record.decision
            let altered = DecisionRecord(input: record.input, decision: decision)
            try await forged.record(try altered.event(actor: "mallory"), naming: try altered.documents())
        }
        try folder.write("gate.yaml", try folder.read("gate.yaml") + "\nlineage: forged\n")
        let found = try await replay(path)
        #expect(found.status == 2 && found.output.contains("Entry 20 differs"), "\(found.output)")
        #expect(found.output.contains("29 of 30 decisions are the same"), "\(found.output)")
    }
}
