import AgentWorkerCore
import Contracts
import Coordination
import Testing

@testable import AgentWorkerService

/// How the breaker around an endpoint closes again: what counts as a sign that the endpoint is there.
@Suite(.timeLimit(.minutes(2)))
struct ModelBreakerTests {
    /// Opens at the second failure, and is due for probes at once.
    private static let policy = BreakerPolicy(callsMin: 2, openWait: .microseconds(1), jitterPercent: 0, probes: 5)

    /// An endpoint that fails twice and then does what `script` says, behind a breaker that has opened.
    private static func afterOutage(
        _ script: @escaping ModelServer.Script, _ body: @escaping @Sendable (ModelUnderTest) async throws -> Void
    ) async throws {
        try await ModelUnderTest.run { request, reply in
            guard request.number > 2 else { return try await reply.refuse("500 Internal Server Error") }
            try await script(request, reply)
        } adjust: {
            $0.policy = Self.policy
        } _: { test async throws in
            for _ in 0..<2 {
                let failure = try await test.work().failure
                #expect(failure?.code == "model_server_error")
            }
            #expect(test.registry.statuses.first?.state == .open)
            try await body(test)
        }
    }

    @Test(
        arguments: [
            ("401 Unauthorized", "model_key_refused"), ("403 Forbidden", "model_key_refused"),
            ("404 Not Found", "model_request_refused"), ("400 Bad Request", "model_request_refused"),
        ]
    )
    func `probes that are refused close the breaker, and work is told why`(
        _ status: String, _ code: String
    ) async throws {
        try await Self.afterOutage { _, reply in
            try await reply.refuse(status)
        } _: { test async throws in
            for number in 1...6 {
                let failure = try await test.work().failure
                #expect(failure?.code == code && failure?.isRetryable == false)
                #expect(test.registry.statuses.first?.state == (number < 5 ? .halfOpen : .closed), "probe \(number)")
            }
            #expect(test.server.requests.count == 8)
        }
    }

    @Test(arguments: ["408 Request Timeout", "409 Conflict", "429 Too Many Requests"])
    func `probes that are put off leave the breaker open`(_ status: String) async throws {
        try await Self.afterOutage { _, reply in
            try await reply.refuse(status)
        } _: { test async throws in
            for _ in 0..<5 { _ = try await test.work() }
            #expect(test.server.requests.count == 7)
            #expect(test.registry.statuses.first?.state == .open)
        }
    }

    @Test func `work that its budget does not pay for uses up no probe`() async throws {
        try await Self.afterOutage { _, reply in
            try await reply.answer("Here.")
        } _: { test async throws in
            for number in 1...5 {
                for _ in 0..<5 {
                    let failure = try await test.work(budget: 5).failure
                    #expect(failure?.code == "budget_too_small")
                }
                // Before the first probe nobody has asked whether it is time.
                #expect(test.registry.statuses.first?.state == (number == 1 ? .open : .halfOpen), "probe \(number)")
                let output = try await test.work().output
                #expect(output != nil)
            }
            #expect(test.registry.statuses.first?.state == .closed && test.server.requests.count == 7)
        }
    }

    @Test func `what no budget pays for is said while the breaker is open`() async throws {
        try await ModelUnderTest.run { _, reply in
            try await reply.refuse("500 Internal Server Error")
        } adjust: {
            $0.policy = BreakerPolicy(callsMin: 2, openWait: .seconds(20), jitterPercent: 0)
        } _: { test async throws in
            for _ in 0..<2 { _ = try await test.work() }
            #expect(test.registry.statuses.first?.state == .open)
            let failure = try await test.work(budget: 5).failure
            #expect(failure?.code == "budget_too_small" && failure?.isRetryable == false)
        }
    }

    @Test(
        arguments: [
            (200, false), (301, false), (400, true), (401, true), (403, true), (404, true), (408, false), (409, false),
            (413, true), (422, true), (429, false), (500, false), (503, false), (599, false),
        ]
    )
    func `a status says whether the endpoint is there`(_ status: Int, _ isAnswer: Bool) {
        let failure = ModelFailure(status: status, said: "", retryAfter: nil)
        #expect(failure.isAnswer == isAnswer, "\(status)")
        #expect(!failure.isAnswer || !failure.isOutage, "\(status)")
    }
}
