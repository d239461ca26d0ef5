import Contracts
import Testing

@testable import golden

/// `golden sandbox run` against a stand-in for the API.
@Suite struct `Running a program` {
    @Test func `a run whose last event never comes is told by its own outcome`() async throws {
        try await Golden.withAPI("sandbox-run") { golden, _ in
            let shown = try await golden.run("sandbox", "run", "-", input: "print(1)")
            #expect(shown.status == 125 && shown.output == "begun\n", "\(shown)")
            #expect(shown.errors.contains("golden: it could not be run: The run has lost its executor."), "\(shown)")
            let asJSON = try await golden.run("sandbox", "run", "-", "--json", input: "print(1)")
            var reader = try JSONReader(try asJSON.json)
            let outcome = try SandboxOutcome(from: &reader)
            #expect(asJSON.status == 125 && outcome.failure?.code == "executor_lost", "\(asJSON)")
        }
    }
}
