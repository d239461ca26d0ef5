import Contracts
import Foundation
import MessageBus
import NATS
import ServiceLifecycle
import TestSupport
import Testing

@testable import AgentWorkerService

@Suite(.serialized, .timeLimit(.minutes(2)))
struct WorkRunnerTests {
    @Test(arguments: TestNATS.binaries)
    func `work is done, reported once, and acknowledged`(_ binary: String) async throws {
        try await Bench.run(binary) { bench in
            let raw = try bench.connection.subscribe("results.>")
            try await bench.withWorker { _ in
                let item = try await bench.submit("{\"question\": \"é\"}")
                for await message in raw {
                    let report = try AgentReport(json: JSON(parsing: message.payload))
                    #expect(message.subject == "results.developer.\(item.task)")
                    #expect(message.headers["Nats-Msg-Id"] == "\(item.task).1")
                    #expect(message.headers["traceparent"] == "00-trace-01")
                    #expect(message.headers["golden-tenant"] == "acme")
                    #expect(report.leaseToken == item.leaseToken && report.agent.text == "agent-1")
                    #expect(report.body == .completed(output: item.input, usage: nil))
                    break
                }
                try await bench.untilWorkIsDone()
            }
            #expect(try await bench.bus.incarnation(of: .results).messageCount == 1)
        }
    }

    @Test(arguments: TestNATS.binaries)
    func `a work item that asks for its report elsewhere gets it there`(_ binary: String) async throws {
        try await Bench.run(binary) { bench in
            let session = ReviewID(UUID())
            let responses = try bench.bus.subscribe(.reviewResponses)
            try await bench.withWorker { _ in
                let item = WorkItem(
                    task: newTask(), tenant: TenantID(literal: "acme"), workflow: WorkflowName(literal: "review"),
                    stage: "review", kind: "review", role: developer, attempt: 1, leaseToken: "seat",
                    deadline: Date().addingTimeInterval(60), input: .emptyObject, reply: .reviewResponse(session)
                )
                _ = try await bench.bus.publish(item, on: .work(developer), id: nil)
                let found = await responses.collect(until: \.isOutcome)
                #expect(found.last?.leaseToken == "seat")
                try await bench.untilWorkIsDone()
            }
            #expect(try await bench.bus.incarnation(of: .results).messageCount == 0)
            #expect(try await bench.bus.incarnation(of: .reviews).messageCount == 1)
        }
    }

    @Test func `work that is for others goes back to them unread`() async throws {
        try await Bench.run(TestNATS.binaries[0]) { bench in
            let session = ReviewID(UUID())
            let responses = try bench.bus.subscribe(.reviewResponses)
            func publish(_ token: String, notFor exclusion: WorkExclusion?) async throws {
                let item = WorkItem(
                    task: newTask(), tenant: TenantID(literal: "acme"), workflow: WorkflowName(literal: "review"),
                    stage: "review", kind: "review", role: developer, attempt: 1, leaseToken: token,
                    deadline: Date().addingTimeInterval(60), input: .emptyObject, reply: .reviewResponse(session),
                    exclusion: exclusion
                )
                _ = try await bench.bus.publish(item, on: .work(developer), id: nil)
            }
            try await bench.withWorker { _ in
                try await publish("own", notFor: WorkExclusion(agents: ["agent-1"], owners: []))
                try await publish("owners", notFor: WorkExclusion(agents: [], owners: ["tests"]))
                try await publish("free", notFor: WorkExclusion(agents: ["agent-2"], owners: ["somebody"]))
                let found = await responses.collect(until: \.isOutcome)
                #expect(found.map(\.leaseToken) == ["free"])
            }
            // Another agent finds what the first gave back.
            let leases = try await bench.bus.leaseWork(of: [developer], slots: 2)
            let (items, arrive) = AsyncStream<String>.makeStream()
            async let leasing: Void = leases.run { batch in
                for lease in batch { arrive.yield(lease.message.leaseToken) }
            }
            var tokens: Set<String> = []
            for await token in items {
                tokens.insert(token)
                if tokens.count == 2 { break }
            }
            #expect(tokens == ["own", "owners"])
            await leases.close()
            try await leasing
        }
    }

    @Test(arguments: TestNATS.binaries)
    func `progress comes before the outcome, numbered from one`(_ binary: String) async throws {
        try await Bench.run(binary) { bench in
            let reports = try bench.reports()
            try await bench.withWorker { _ in
                try await bench.submit("{\"echo\": {\"progress\": 5, \"fail\": \"as_asked\"}}")
                let found = await reports.collect(until: \.isOutcome)
                for (index, report) in found.dropLast().enumerated() {
                    #expect(report.body == .progress(number: index + 1, message: "echo \(index + 1)", data: nil))
                }
                #expect(found.count == 6)
                #expect(found.last?.failure?.code == "as_asked")
            }
        }
    }

    @Test(arguments: TestNATS.binaries)
    func `never more than the slots are at work`(_ binary: String) async throws {
        let folder = try temporaryFolder("agent")
        defer { remove(folder) }
        // Every program says how many it sees at work, itself included. (What the server counts as unacknowledged
        // lags behind: acknowledgements and requests wait in different queues there.)
        let script = "cd \(folder.path) && cat >/dev/null && : > $$ && ls | wc -l && sleep 0.1 && rm $$"
        try await Bench.run(binary) { bench in
            let reports = try bench.reports()
            try await bench.withWorker(.command(shell(script)), slots: 2) { _ in
                for _ in 0..<8 { try await bench.submit() }
                var seen: [Int] = []
                for await report in reports {
                    guard case .completed(let output, _) = report.body else {
                        Issue.record("\(report)")
                        break
                    }
                    seen.append(output.int ?? 0)
                    if seen.count == 8 { break }
                }
                #expect(seen.max() == 2)
                try await bench.untilWorkIsDone()
            }
        }
    }

    @Test(arguments: TestNATS.binaries)
    func `canceled work stops, says so, and frees its slot`(_ binary: String) async throws {
        try await Bench.run(binary) { bench in
            let reports = try bench.reports()
            try await bench.withWorker(slots: 1) { _ in
                let item = try await bench.submit("{\"echo\": {\"sleep_ms\": 60000}}")
                try await bench.untilHeld(1)
                // Repeated, because the agent may not have begun to listen when the first is sent.
                while try await bench.bus.incarnation(of: .work).messageCount > 0 {
                    try bench.bus.send(
                        CancelNotice(task: item.task, attempt: 1, reason: "test"), on: .cancel(item.task))
                }
                let report = await reports.collect(until: \.isOutcome).last
                #expect(report?.task == item.task)
                #expect(report?.failure?.code == "canceled")
                let next = try await bench.submit("{}")
                #expect(await reports.collect(until: \.isOutcome).map(\.task) == [next.task])
            }
        }
    }

    @Test(arguments: TestNATS.binaries)
    func `work is stopped in time to report that its deadline came`(_ binary: String) async throws {
        try await Bench.run(binary) { bench in
            let reports = try bench.reports()
            try await bench.withWorker { _ in
                let item = try await bench.submit("{\"echo\": {\"sleep_ms\": 60000}}", seconds: 4)
                let report = await reports.collect(until: \.isOutcome).last
                #expect(Date() < item.deadline)
                #expect(report?.failure?.code == "deadline_exceeded")
                #expect(report?.failure?.isRetryable == true)
                try await bench.untilWorkIsDone()
            }
        }
    }

    @Test(arguments: TestNATS.binaries)
    func `work whose deadline has passed is dropped without a word`(_ binary: String) async throws {
        try await Bench.run(binary) { bench in
            let reports = try bench.reports()
            try await bench.withWorker { _ in
                try await bench.submit(seconds: -1)
                let next = try await bench.submit()
                #expect(await reports.collect(until: \.isOutcome).map(\.task) == [next.task])
                try await bench.untilWorkIsDone()
            }
        }
    }

    @Test(arguments: TestNATS.binaries)
    func `an attempt that arrives again while held is run once`(_ binary: String) async throws {
        try await Bench.run(binary) { bench in
            let reports = try bench.reports()
            try await bench.withWorker(slots: 3) { _ in
                let task = newTask()
                for _ in 0..<3 {
                    try await bench.submit("{\"echo\": {\"sleep_ms\": 500, \"progress\": 1}}", task: task)
                }
                _ = await reports.collect(until: \.isOutcome)
                // The first two deliveries were never settled: the server may hand them out again, and the attempt then
                // runs again. The orchestrator's fencing makes that harmless; the ids show it is the same report.
                try await bench.submit("{}", attempt: 2, task: task)
                let second = await reports.collect { $0.attempt == 2 && $0.isOutcome }
                #expect(second.filter { $0.attempt == 1 }.isEmpty)
            }
        }
    }

    @Test(arguments: TestNATS.binaries)
    func `a newer attempt stops the older one`(_ binary: String) async throws {
        try await Bench.run(binary) { bench in
            let reports = try bench.reports()
            try await bench.withWorker(slots: 2) { _ in
                let task = newTask()
                try await bench.submit("{\"echo\": {\"sleep_ms\": 60000}}", task: task)
                try await bench.untilHeld(1)
                try await bench.submit("{}", attempt: 2, task: task)
                #expect(await reports.collect(until: \.isOutcome).map(\.attempt) == [2])
                try await bench.untilWorkIsDone()
            }
        }
    }

    @Test(arguments: TestNATS.binaries)
    func `an agent announces itself at once, when asked, and when it leaves`(_ binary: String) async throws {
        try await Bench.run(binary) { bench in
            let heard = try bench.bus.subscribe(.announcements)
            try await bench.withWorker(slots: 3) { group in
                let first = await heard.collect { _ in true }[0]
                #expect(first.agent.text == "agent-1" && first.roles == [developer] && first.slots == 3)
                #expect(first.owner == "tests" && !first.version.isEmpty && !first.isLeaving)
                let item = try await bench.submit("{\"echo\": {\"sleep_ms\": 3000}}")
                try await bench.untilHeld(1)
                while true {
                    try bench.bus.sendRaw(.announceNow)
                    if await heard.collect(until: { _ in true })[0].leases == [item.task] { break }
                }
                await group.triggerGracefulShutdown()
                let last = await heard.collect(until: \.isLeaving).last
                #expect(last?.isLeaving == true)
            }
        }
    }

    @Test(arguments: TestNATS.binaries)
    func `a stopping agent finishes what it has and takes nothing more`(_ binary: String) async throws {
        try await Bench.run(binary) { bench in
            let reports = try bench.reports()
            let held = try await bench.submit("{\"echo\": {\"sleep_ms\": 1500}}")
            try await bench.withWorker(slots: 1) { group in
                try await bench.untilHeld(1)
                await group.triggerGracefulShutdown()
                try await bench.submit()
            }
            #expect(await reports.collect(until: \.isOutcome).map(\.task) == [held.task])
            #expect(try await bench.bus.incarnation(of: .work).messageCount == 1)
        }
    }

    @Test(arguments: TestNATS.binaries)
    func `what cannot be finished in time goes to another agent at once`(_ binary: String) async throws {
        try await Bench.run(binary) { bench in
            let reports = try bench.reports()
            let item = try await bench.submit("{\"echo\": {\"sleep_ms\": 4000}}")
            try await bench.withWorker(slots: 1, drain: .milliseconds(100)) { group in
                try await bench.untilHeld(1)
                await group.triggerGracefulShutdown()
            }
            let start = ContinuousClock.now
            try await bench.withWorker(id: AgentID(literal: "agent-2")) { _ in
                let report = await reports.collect(until: \.isOutcome).last
                #expect(report?.task == item.task && report?.agent.text == "agent-2")
                // Well below the 30 seconds the server would wait for an agent that vanished.
                #expect(start.duration(to: .now) < .seconds(20))
            }
        }
    }

    @Test(arguments: TestNATS.binaries)
    func `a report survives the server's absence`(_ binary: String) async throws {
        try await Bench.run(binary) { bench in
            try await bench.withWorker { _ in
                try await bench.submit("{\"echo\": {\"sleep_ms\": 1000}}")
                try await bench.untilHeld(1)
                try await blocking { [server = bench.server] in server.kill() }
                try await Task.sleep(for: .seconds(2))
                try await blocking { [server = bench.server] in try server.start() }
                while true {
                    do {
                        if try await bench.bus.incarnation(of: .results).messageCount == 1 { break }
                    } catch let error as BusError where error.isTransient {
                        continue
                    }
                }
            }
        }
    }

    @Test(arguments: TestNATS.binaries)
    func `a result the server cannot take is a clear permanent failure`(_ binary: String) async throws {
        try await Bench.run(binary, maxPayload: 100_000) { bench in
            let reports = try bench.reports()
            let script = "cat >/dev/null; printf '\"'; head -c 200000 /dev/zero | tr '\\0' x; printf '\"'"
            try await bench.withWorker(.command(shell(script))) { _ in
                try await bench.submit()
                let failure = await reports.collect(until: \.isOutcome).last?.failure
                #expect(failure?.code == "output_too_large" && failure?.isRetryable == false)
                try await bench.untilWorkIsDone()
            }
        }
    }

    @Test(arguments: TestNATS.binaries, [false, true])
    func `an agent that fails inside hands its work back`(_ binary: String, _ hasReport: Bool) async throws {
        try await Bench.run(binary) { bench in
            let reports = try bench.reports()
            let item = try await bench.submit()
            let nats = Bench.configuration(bench.server, "agent-1")
            let connection = try await NATSConnection.connect(nats, logger: quietLogger)
            let configuration = AgentWorkerConfiguration(
                agent: AgentID(literal: "agent-1"), roles: [developer], slots: 1, owner: "tests", backend: .echo,
                nats: nats
            )
            let (begun, begins) = AsyncStream<Void>.makeStream()
            let (breaks, breaking) = AsyncStream<Void>.makeStream()
            let runner = WorkRunner(
                configuration,
                bus: MessageBus(
                    connection: connection, configuration: BusConfiguration(ownsStreams: false), logger: quietLogger),
                backend: BreakingBackend(
                    end: hasReport ? .reported(.completed(output: .emptyObject, usage: nil)) : .stopped(nil),
                    begins: begins, breaks: breaks
                ),
                health: AgentHealth(configuration), logger: quietLogger
            )
            let running = Task { try await runner.run() }
            for await _ in begun { break }
            // A paused server stores nothing, so that the report cannot win against the end of the agent.
            try await blocking { [server = bench.server] in server.pause() }
            breaking.yield()
            let error = await #expect(throws: AgentWorkerError.self) { try await running.value }
            #expect(error?.code == .watchdogLost)
            bench.server.resume()
            await connection.shutdown(within: .seconds(5))
            #expect(try await bench.bus.incarnation(of: .work).messageCount == 1)
            let start = ContinuousClock.now
            try await bench.withWorker(id: AgentID(literal: "agent-2")) { _ in
                let report = await reports.collect { $0.agent.text == "agent-2" && $0.isOutcome }.last
                #expect(report?.task == item.task)
                // Well below the 30 seconds that the server waits for an agent that says nothing.
                #expect(start.duration(to: .now) < .seconds(20))
                try await bench.untilWorkIsDone()
            }
        }
    }

    @Test func `an echo that is cut short is no result`() async throws {
        let item = WorkItem(
            task: newTask(), tenant: TenantID(literal: "acme"), workflow: WorkflowName(literal: "single"),
            stage: "work", kind: "work", role: developer, attempt: 1, leaseToken: "lease",
            deadline: Date().addingTimeInterval(60),
            input: try JSON(parsing: Array("{\"echo\": {\"sleep_ms\": 60000}}".utf8))
        )
        let assignment = Assignment(item: item, bytes: Array(item.json.bytes), stop: StopSignal()) { _ in }
        let working = Task { await EchoBackend().work(on: assignment) }
        working.cancel()
        #expect(await working.value.isStopped)
    }
}

/// Works until its agent ends, whose failure it is.
private struct BreakingBackend: Backend {
    /// What becomes of the work then.
    let end: WorkEnd
    let begins: AsyncStream<Void>.Continuation
    let breaks: AsyncStream<Void>

    func work(on assignment: Assignment) async -> WorkEnd {
        begins.yield()
        await assignment.stop.wait()
        return end
    }

    func run() async throws {
        for await _ in breaks { break }
        throw AgentWorkerError(.watchdogLost, "The watchdog shell ended.")
    }
}
