import Contracts
import Foundation
import TestSupport
import Testing

/// The commands for workflows, approvals and escalations against a real orchestrator.
@Suite struct `Judging from the command line` {
    @Test func `a workflow is set and shown, its work approved, its failure resolved`() async throws {
        try await OrchestratorUnderTest.run { stack in
            let golden = Golden(url: stack.address(), token: try await stack.token(role: "operator"))
            let set = try await golden.run("workflows", "set", "signed", "-", input: `Workflows over HTTP`.signed)
            #expect(set.contains("signed version 1") && set.contains("sign-off"), "\(set)")
            _ = try await golden.run("workflows", "set", "careful", "-", input: `Workflows over HTTP`.escalating)
            let list = try await golden.run("workflows", "list")
            #expect(list.contains("work > sign-off") && list.contains("every installation"), "\(list)")
            #expect(try await golden.run("workflows", "show", "careful").contains("escalates what fails for good"))

            try await stack.withAgent(work: { item in
                item.workflow.text == "careful" && item.plan == nil
                    ? `Escalations over HTTP`.failure : `Workflows over HTTP`.made
            }) {
                let good = try await stack.submit(#"{"workflow":"signed"}"#)
                let bad = try await stack.submit(#"{"workflow":"signed"}"#)
                for task in [good, bad] {
                    try await eventually { try await stack.state(of: task) == "awaiting_approval" }
                }
                #expect(try await golden.run("tasks", "approve", good).contains("is completed"))
                #expect(try await golden.run("tasks", "reject", bad, "--reason", "no").contains("is rejected"))

                #expect(try await golden.run("escalations", "list").contains("None is unresolved."))
                let stuck = try await stack.submit(#"{"workflow":"careful"}"#)
                try await eventually { try await stack.state(of: stuck) == "escalated" }
                #expect(try await golden.run("escalations").contains("stuck: no way"))
                let id = try #require(try await stack.get("/tasks/\(stuck)", token: stack.token())["escalation_id"])
                #expect(try await golden.run("escalations", "show", id).contains(stuck))
                let resolved = try await golden.run("escalations", "resolve", id, "retry", "--plan", #"{"a":1}"#)
                #expect(resolved.contains("resolved"), "\(resolved)")
                try await eventually { try await stack.state(of: stuck) == "completed" }
            }
        }
    }

    /// The real `golden` program.
    private struct Golden: Sendable {
        let url: String
        let token: String

        /// What it prints and says, to the end.
        func run(_ arguments: String..., input: String = "") async throws -> String {
            try await blocking {
                let process = Process()
                // Built beside the tests.
                let own = URL(filePath: "/proc/self/exe").resolvingSymlinksInPath()
                process.executableURL = own.deletingLastPathComponent().appending(path: "golden")
                process.arguments = arguments
                process.environment = ["GOLDEN_URL": url, "GOLDEN_TOKEN": token, "NO_COLOR": "1"]
                let (answer, question) = (Pipe(), Pipe())
                (process.standardOutput, process.standardError, process.standardInput) = (answer, answer, question)
                try Spawner.shared.start(process)
                try question.fileHandleForWriting.write(contentsOf: Data(input.utf8))
                try question.fileHandleForWriting.close()
                let text = String(decoding: answer.fileHandleForReading.readDataToEndOfFile(), as: UTF8.self)
                Spawner.shared.wait(for: process)
                #expect(process.terminationStatus == 0, "\(arguments): \(text)")
                return text
            }
        }
    }
}
