import AgentWorkerCore
import Contracts
import Foundation
import Testing

/// The page about the protocol shows messages as they are.
@Suite
struct ProtocolDocumentTests {
    private struct Block: Sendable, CustomStringConvertible {
        let kind: String
        let text: String

        var description: String { "\(kind): \(text.prefix(60))" }
    }

    private static let blocks: [Block] = {
        let page =
            (try? String(contentsOf: projectFolder.appending(path: "docs/agent-protocol.md"), encoding: .utf8)) ?? ""
        return page.components(separatedBy: "```json ").dropFirst().map { part in
            let end = part.components(separatedBy: "\n```")[0]
            let kind = String(end.prefix { $0 != "\n" })
            return Block(kind: kind, text: String(end.dropFirst(kind.count + 1)))
        }
    }()

    @Test func `every message has an example`() {
        let kinds = Dictionary(grouping: Self.blocks, by: \.kind).mapValues(\.count)
        #expect(
            kinds == [
                "work-item": 1, "report": 5, "cancel": 1, "announcement": 1, "progress-line": 2, "vote": 1,
                "review-plan": 1, "synthesis": 1, "consensus": 1,
            ])
    }

    @Test(arguments: blocks)
    private func `an example reads as its message and writes the same again`(_ block: Block) throws {
        let json = try JSON(parsing: Array(block.text.utf8))
        switch block.kind {
        case "work-item": #expect(try WorkItem(json: json).json.canonical == json.canonical)
        case "report": #expect(try AgentReport(json: json).json.canonical == json.canonical)
        case "cancel": #expect(try CancelNotice(json: json).json.canonical == json.canonical)
        case "announcement": #expect(try AgentAnnouncement(json: json).json.canonical == json.canonical)
        case "vote":
            var reader = try JSONReader(json)
            #expect(try VoteBody(from: &reader).choice == .conditional)
        case "review-plan":
            // What the orchestrator writes is compared with it by the tests of its core.
            var plan = try JSONReader(json)
            var review = try #require(try plan.optionalObject("review"))
            #expect(try review.optionalObjects("concerns", atMost: ReviewTerms.seatsMax)?.count == 2)
        case "synthesis": #expect(try Synthesis(json: json).steps.map(\.agent) == ["developer"])
        case "consensus": #expect(try Consensus(json: json).decision == .reject)
        case "progress-line":
            var reader = StderrReader()
            let found = reader.read(Array((block.text + "\n").utf8))
            #expect(found.count == 1 || reader.usage != nil)
        default: Issue.record("an example of an unknown kind \(block.kind)")
        }
    }

    @Test func `the numbers on the page are the program's`() throws {
        let page = try String(contentsOf: projectFolder.appending(path: "docs/agent-protocol.md"), encoding: .utf8)
        #expect(page.contains("Every \(AgentAnnouncement.intervalSeconds) seconds, at the start"))
        #expect(page.contains("not heard of for \(AgentAnnouncement.expirySeconds)\nseconds"))
        #expect(page.contains("at most \(AgentReport.progressMax) of them"))
        #expect(page.contains("exit \(CommandOutcome.rejectedCode) (`EX_DATAERR`)"))
        #expect(page.contains("exit \(CommandOutcome.temporaryCode) (`EX_TEMPFAIL`)"))
        #expect(page.contains("exit \(CommandOutcome.escalatedCode) (`EX_NOPERM`)"))
        #expect(page.contains("`\(Subject.work(AgentRole(literal: "r")).text.dropLast())<role>`"))
        #expect(page.contains("`\(Subject.Pattern.allCancels)`"))
        #expect(page.contains("`\(Subject.announceNow)`") && page.contains("`\(Subject.announcements)`"))
    }
}

let projectFolder = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
    .deletingLastPathComponent()
