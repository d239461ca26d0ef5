import Contracts
import Foundation
import OrchestratorCore
import Testing

@Suite struct `Review plans` {
    private static func plan(_ votes: [ReviewVote]) throws -> JSON {
        let plan = ReviewPlan.of(try Reviewed.decision(.rejected, votes: votes))
        return try JSON(parsing: plan.bytes)
    }

    private static func concerns(_ plan: JSON) throws -> [JSON] {
        var reader = try JSONReader(plan)
        var review = try #require(try reader.optionalObject("review"))
        return try review.optionalArray("concerns") ?? []
    }

    private static let list = JSONWriter.array { writer in
        writer.element("line 3")
        writer.element(object: { $0.field("line", 12) })
    }

    @Test func `concerns are kept as they came, the worst first`() throws {
        let plan = try Self.plan([
            Reviewed.vote(Reviewed.tester, .approve, "fine", Self.list),
            Reviewed.vote(AgentRole(literal: "architect"), .approve, "fine"),
            Reviewed.vote(AgentRole(literal: "reviewer"), .conditional, "almost"),
            Reviewed.vote(Reviewed.security, .reject, "no", Self.list),
        ])
        let texts = try Self.concerns(plan).map(\.text)
        #expect(
            texts == [
                #"{"role":"security","reviewer":"security-1","vote":"reject","rationale":"no","concerns":["line 3",{"line":12}]}"#,
                #"{"role":"reviewer","reviewer":"reviewer-1","vote":"conditional","rationale":"almost","concerns":[]}"#,
                #"{"role":"tester","reviewer":"tester-1","vote":"approve","rationale":"fine","concerns":["line 3",{"line":12}]}"#,
            ])
        #expect(plan.text.contains(#""round":1,"decision":"rejected","score":0.3,"quorum":0.75"#))
    }

    @Test(arguments: [1, 3, 16], ["a", "\u{1}", "é", "👩‍👩‍👧‍👦", "\"", "e\u{301}\u{302}\u{303}"])
    func `whatever reviewers say fits, and what was left out is said`(count: Int, letter: String) throws {
        let rationale = String(repeating: letter, count: ReviewOpinion.rationaleBytesMax / letter.utf8.count)
        let concerns = JSONWriter.array { writer in
            for _ in 0..<ReviewOpinion.concernsMax {
                writer.element(String(repeating: letter, count: 600 / letter.utf8.count))
            }
        }
        let votes = try (0..<count).map {
            Reviewed.vote(try #require(AgentRole("role-\($0)")), .reject, rationale, concerns)
        }
        let plan = try Self.plan(votes)
        #expect(plan.bytes.count <= Resolution.planBytesMax)
        let entries = try Self.concerns(plan)
        #expect(entries.count == count, "Everybody is heard.")
        for entry in entries {
            #expect(entry.text.contains("concerns_left_out"), "\(entry.text.prefix(200))")
        }
        // No room is left that another concern, or half a rationale, would fit into.
        #expect(plan.bytes.count > Resolution.planBytesMax / 3, "\(plan.bytes.count)")
    }

    @Test func `the page about the protocol shows one`() throws {
        let folder = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
            .deletingLastPathComponent()
        let page = try String(contentsOf: folder.appending(path: "docs/agent-protocol.md"), encoding: .utf8)
        let block = try #require(page.components(separatedBy: "```json review-plan\n").dropFirst().first)
        let shown = try JSON(parsing: #require(block.components(separatedBy: "\n```").first).utf8)
        let session = try #require(ReviewID("0197a3c4-8f00-7c3a-9d52-1b2c3d4e5f60"))
        let outcome = ReviewOutcome(
            status: .rejected, score: "0.45", explanation: JSONWriter.object { $0.field("quorum", decimal: "0.75") })
        let line = JSONWriter.array { writer in
            writer.element(object: {
                $0.field("line", 12)
                $0.field("text", "the name is not bound")
            })
        }
        let votes = [
            Reviewed.vote(AgentRole(literal: "reviewer"), .approve, "Fine."),
            Reviewed.vote(
                Reviewed.tester, .conditional, "Correct, but slow.",
                JSONWriter.array { $0.element("no test for an empty file") }),
            Reviewed.vote(Reviewed.security, .reject, "SQL is put together from input.", line),
        ]
        let plan = ReviewPlan.of(try Reviewed.decision(outcome, session: session, votes: votes))
        #expect(plan.canonical == shown.canonical)
    }

    @Test func `a short vote leaves its room to the next`() throws {
        let long = JSONWriter.array { writer in
            for _ in 0..<30 { writer.element(String(repeating: "x", count: 300)) }
        }
        let plan = try Self.plan([
            Reviewed.vote(AgentRole(literal: "a"), .reject, "short"),
            Reviewed.vote(AgentRole(literal: "b"), .reject, "r", long),
        ])
        #expect(!plan.text.contains("left_out"), "9 KiB of 16 fit.")
    }
}
