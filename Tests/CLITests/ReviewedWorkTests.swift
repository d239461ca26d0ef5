import Contracts
import Foundation
import TestSupport
import Testing

@testable import golden

/// What `scripts/run` shows, with everything real: the services, the stores, and the example agents as processes.
@Suite(.serialized, .timeLimit(.minutes(5))) struct `Reviewed work` {
    private static let project = Sibling.parent(of: Sibling.parent(of: Sibling.parent(of: #filePath)))
    private static let examples = "\(project)/examples"

    private static func withAgents(_ name: String, _ body: (Golden) async throws -> Void) async throws {
        var golden = try Golden(name)
        golden.environment = [
            "GOLDEN_BIN": Sibling.parent(of: try Golden.program), "GOLDEN_MIGRATIONS": "\(project)/migrations",
        ]
        let agents = [
            "developer=change_developer", "security@peers=security_reviewer", "reviewer@peers=quality_reviewer",
            "tester@peers=docs_tests_reviewer",
        ]
        let options = agents.flatMap { agent in
            let parts = agent.split(separator: "=")
            return ["--agent", "\(parts[0])=PYTHONDONTWRITEBYTECODE=1 exec python3 \(examples)/agents/\(parts[1]).py"]
        }
        try await golden.removedAfterwards {
            let up = try await golden.run(["up", "--detach", "--port", "0"] + options)
            guard up.status == 0 else { throw Golden.Failed(description: "up: \(up.output)\(up.errors)") }
            try await body(golden)
        }
    }

    private func rounds(_ golden: Golden, of task: TaskID) async throws -> [(id: String, status: String)] {
        let answer = try await golden.run("reviews", "list", "--json").json
        var reader = try JSONReader(answer)
        var found: [(round: Int, id: String, status: String)] = []
        for json in try reader.optionalArray("reviews") ?? [] {
            var review = try JSONReader(json)
            guard try review.string("task_id") == task.description else { continue }
            found.append((try review.int("round"), try review.string("id"), try review.string("status")))
        }
        return found.sorted { $0.round < $1.round }.map { ($0.id, $0.status) }
    }

    private static let cases = [
        ("reviewed-change", ["sql-injection", "missing-tests"]),
        ("reviewed-lookup", ["hard-coded-secret", "bare-except"]),
        ("reviewed-rename", ["shell-injection", "unsafe-yaml"]),
        ("tested-change", ["sql-injection"]),
    ]

    @Test func `a change is refused for its flaws, mended, approved and completed, and all of it is shown`()
        async throws
    {
        try await Self.withAgents("reviewed") { golden in
            for (name, rules) in Self.cases {
                let file = "\(Self.examples)/tasks/\(name).json"
                let shown = try await golden.run("submit", file, "--follow", "--timeout", "2m")
                #expect(shown.status == 0, "\(shown.output)\(shown.errors)")
                let task = try #require(
                    shown.output.split(separator: "\n").first.flatMap { line in
                        line.split(separator: " ").compactMap { TaskID($0) }.first
                    })
                #expect(try await rounds(golden, of: task).map(\.status) == ["rejected", "approved"], "\(name)")
                // Refused for what is in the code, by somebody with a name and a weight.
                #expect(rules.contains { shown.output.contains(" \($0): ") }, "\(shown.output)")
                #expect(shown.output.contains("security  0.4 ") && shown.output.contains("security-1"))
                #expect(shown.output.contains("Rejected: votes against weigh"))
                #expect(shown.output.contains("Could have passed it alone") || shown.output.contains("Short by"))
                #expect(shown.output.contains("Approved with 1 of the 0.75 needed."), "\(shown.output)")
                #expect(shown.output.contains(" completed after ") && shown.output.contains("Mended: "))
                guard name == "tested-change" else { continue }
                let tested = shown.output.split(separator: "\n").filter { $0.contains(" tested ") }
                #expect(tested.count == 2 && tested.allSatisfy { $0.contains("ok · namespaces") }, "\(shown.output)")
                #expect(shown.output.contains("Ran 3 tests") && shown.output.contains("\"sandbox\""))
            }
        }
    }

    @Test func `what takes a decision is refused until it is put before somebody, who ends it`() async throws {
        try await Self.withAgents("stuck") { golden in
            let file = "\(Self.examples)/tasks/reviewed-stuck.json"
            let submitted = try await golden.run("submit", file, "--json")
            let task = try TaskDocument(json: try submitted.json).id
            var escalation: JSON?
            let end = ContinuousClock.now + .seconds(120)
            while escalation == nil, ContinuousClock.now < end {
                let list = try await golden.run("escalations", "list", "--task", "\(task)", "--json").json
                var reader = try JSONReader(list)
                escalation = try reader.optionalArray("escalations")?.first
                try await Task.sleep(for: .milliseconds(200))
            }
            var reader = try JSONReader(try #require(escalation, "it was not escalated"))
            #expect(try reader.string("reason").contains("After 3 rounds of rework it is still refused."))
            #expect(try await rounds(golden, of: task).map(\.status) == Array(repeating: "rejected", count: 4))
            let last = try #require(try await rounds(golden, of: task).last)
            #expect(try await golden.run("reviews", "show", last.id).output.contains("dynamic-code"))
            let id = try reader.string("id")
            let resolved = try await golden.run(
                "escalations", "resolve", id, "reject", "--reason", "Formulas are not to be run.")
            #expect(resolved.status == 0, "\(resolved.errors)")
            #expect(try await golden.run("tasks", "show", "\(task)").output.contains("rejected"))
        }
    }
}
