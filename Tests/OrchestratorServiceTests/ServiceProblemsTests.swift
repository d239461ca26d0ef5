import HTTPEdge
import Postgres
import Testing

@testable import OrchestratorService

@Suite struct `Service problems` {
    private static let keyed = Operation(
        id: "submit", summary: "Submit.", tag: "x", parameters: [.idempotencyKey("Once only.")], answers: [])
    private static let plain = Operation(
        id: "rotate", summary: "Rotate.", tag: "x", parameters: [Parameter(.header, "If-Match", .text(), "Version.")],
        answers: [])

    private static let rows: [(operation: Operation?, isAdvised: Bool)] = [(keyed, true), (plain, false), (nil, false)]

    @Test(arguments: rows)
    func `a key is advised only where the route reads it`(operation: Operation?, isAdvised: Bool) throws {
        let error = PostgresError(.outcomeUnknown, "gone")
        let problem = try #require(ServiceProblems.problem(error, of: operation))
        #expect(problem.code == .unavailable && problem.detail.contains("may have been"))
        #expect(problem.detail.contains("same Idempotency-Key") == isAdvised)
        #expect(problem.detail.contains("Look whether it was") == !isAdvised)
    }
}
