import AgentWorkerService
import Contracts
import Foundation
import MessageBus
import TestSupport
import Testing

/// What shows only after the server's patience of 30 seconds; run side by side for that.
@Suite(.timeLimit(.minutes(3)))
struct LongLeaseTests {
    @Test(arguments: TestNATS.binaries)
    func `slow work is not handed to another agent`(_ binary: String) async throws {
        try await Bench.run(binary) { bench in
            let reports = try bench.reports()
            try await bench.withWorker(id: AgentID(literal: "slow")) { _ in
                let item = try await bench.submit("{\"echo\": {\"sleep_ms\": 38000}}", seconds: 120)
                try await bench.untilHeld(1)
                try await bench.withWorker(id: AgentID(literal: "idle")) { _ in
                    let report = await reports.collect(until: \.isOutcome).last
                    #expect(report?.agent.text == "slow")
                    #expect(report?.task == item.task)
                    try await bench.untilWorkIsDone()
                    let state = try await bench.bus.consumerState(developer)
                    #expect(state?.redelivered == 0, "\(String(describing: state))")
                }
            }
            let stored = try await bench.bus.incarnation(of: .results).messageCount
            #expect(stored == 1)
        }
    }

    @Test(arguments: TestNATS.binaries)
    func `the work of an agent that was killed goes to another`(_ binary: String) async throws {
        try await Bench.run(binary) { bench in
            let folder = try temporaryFolder("agent")
            defer { remove(folder) }
            let reports = try bench.reports()
            let item = try await bench.submit("{\"echo\": {\"sleep_ms\": 5000}}", seconds: 120)
            let doomed = ServerProcess(
                agentWorkerPath, ["--id", "doomed", "--role", "developer", "--backend", "echo"],
                environment: ["GOLDEN_NATS_URL": bench.server.url], logFile: folder.appending(path: "log")
            )
            try await blocking { try doomed.start { true } }
            try await bench.untilHeld(1)
            try await blocking { doomed.kill() }
            try await bench.withWorker(id: AgentID(literal: "heir")) { _ in
                let report = await reports.collect(until: \.isOutcome).last
                #expect(report?.agent.text == "heir" && report?.task == item.task)
                try await bench.untilWorkIsDone()
            }
        }
    }
}
