import Contracts
import Foundation
import MessageBus
import NATS
import Synchronization
import TestSupport
import Testing

@Suite(.serialized, .timeLimit(.minutes(2)))
struct ConsumeTests {
    @Test(arguments: TestNATS.binaries)
    func `a consumer that nobody takes from is named, and one that somebody takes from is not`(_ binary: String)
        async throws
    {
        try await BusUnderTest.run(binary) { test in
            let all = BusTopology.consumers.map(\.name)
            #expect(try await test.bus.untaken() == all)
            let seen = Journal<Received<AgentReport>>()
            let bus = test.bus
            try await beside({
                try await bus.consume(.allResults, as: BusTopology.orchestratorResults) { batch in
                    batch.forEach(seen.add)
                    return batch.map { _ in .acknowledge }
                }
            }) {
                let task = newTask()
                _ = try await bus.publish(report(1, task), on: .results(developer, task), id: nil)
                _ = try await seen.wait(for: 1)
                // What was asked for more than that message waits at the server.
                #expect(try await bus.untaken() == all.filter { $0 != BusTopology.orchestratorResults.name })
            }
        }
    }

    @Test(arguments: TestNATS.binaries)
    func `what is published arrives once with its headers`(_ binary: String) async throws {
        try await BusUnderTest.run(binary) { test in
            let task = newTask()
            let first = try await test.bus.publish(
                report(1, task), on: .results(developer, task), id: "a.1", traceparent: "00-trace-01", tenant: tenant
            )
            let again = try await test.bus.publish(report(1, task), on: .results(developer, task), id: "a.1")
            #expect(!first.duplicate && again.duplicate && first.sequence == again.sequence)

            let seen = Journal<Received<AgentReport>>()
            let bus = test.bus
            try await beside({
                try await bus.consume(.allResults, as: BusTopology.orchestratorResults) { batch in
                    batch.forEach(seen.add)
                    return batch.map { _ in .acknowledge }
                }
            }) {
                let received = try await seen.wait(for: 1)[0]
                #expect(received.message == report(1, task))
                #expect(received.traceparent == "00-trace-01")
                #expect(received.tenant == tenant)
                #expect(received.messageID == "a.1")
                #expect(received.deliveryCount == 1)
                #expect(received.subject == "results.developer.\(task)")
                #expect(abs(received.storedAt.timeIntervalSinceNow) < 60)
            }
            #expect(try await test.bus.incarnation(of: .results).lastSequence == 1)
        }
    }

    @Test(arguments: TestNATS.binaries)
    func `everything is handled though the handler is slow to follow`(_ binary: String) async throws {
        try await BusUnderTest.run(binary) { test in
            let bus = test.bus
            let count = 5000
            let seen = Journal<UInt64>()
            try await beside({
                try await bus.consume(.allResults, as: BusTopology.orchestratorResults, batchMax: 64) { batch in
                    #expect(batch.count <= 64)
                    batch.forEach { seen.add($0.sequence) }
                    return batch.map { _ in .acknowledge }
                }
            }) {
                try await withThrowingTaskGroup(of: Void.self) { group in
                    for number in 1...count {
                        group.addTask {
                            let task = newTask()
                            _ = try await bus.publish(
                                report(number % 1000 + 1, task), on: .results(developer, task), id: "\(number)"
                            )
                        }
                    }
                    try await group.waitForAll()
                }
                let sequences = try await seen.wait(for: count)
                #expect(Set(sequences).count == count && sequences.count == count)
            }
        }
    }

    @Test(arguments: TestNATS.binaries)
    func `a retry comes back no sooner than asked, and the fifth is a dead letter`(_ binary: String) async throws {
        try await BusUnderTest.run(binary) { test in
            let bus = test.bus
            let task = newTask()
            let times = Journal<ContinuousClock.Instant>()
            let letters = try test.connection.subscribe("dlq.>")
            _ = try await bus.publish(
                report(1, task), on: .results(developer, task), id: "give-up", traceparent: "00-t-01", tenant: tenant
            )
            try await beside({
                try await bus.consume(.allResults, as: BusTopology.orchestratorResults) { batch in
                    times.add(.now)
                    return batch.map { _ in .retry(after: .milliseconds(150), error: "no\nsuch thing") }
                }
            }) {
                var letter: NATSMessage?
                for await message in letters {
                    letter = message
                    break
                }
                let letterFound = try #require(letter)
                let instants = times.entries
                #expect(instants.count == BusTopology.deliveriesMax)
                for (earlier, later) in zip(instants, instants.dropFirst()) {
                    #expect(earlier.duration(to: later) >= .milliseconds(145))
                }
                let headers = letterFound.headers
                #expect(letterFound.subject == "dlq.results.developer.\(task)")
                #expect(letterFound.payload == Array(report(1, task).json.bytes))
                #expect(headers[MessageHeader.messageID]?.starts(with: "dlq:RESULTS:1:") == true)
                #expect(headers[MessageHeader.originalID] == "give-up")
                #expect(headers[MessageHeader.reason] == "deliveries_exhausted")
                #expect(headers[MessageHeader.error] == "no such thing")
                #expect(headers[MessageHeader.attempts] == "5")
                #expect(headers[MessageHeader.stream] == "RESULTS")
                #expect(headers[MessageHeader.sequence] == "1")
                #expect(headers[MessageHeader.consumer] == "orchestrator-results")
                #expect(headers[MessageHeader.firstSeen].flatMap(Timestamp.date) != nil)
                #expect(headers[MessageHeader.lastSeen].flatMap(Timestamp.date) != nil)
                #expect(headers[MessageHeader.traceparent] == "00-t-01")
                #expect(headers[MessageHeader.tenant] == tenant.text)
                while try await bus.backlog(of: BusTopology.orchestratorResults)?.ackPending != 0 { await Task.yield() }
            }
            #expect(bus.counts.deadLettered == 1)
            #expect(try await bus.incarnation(of: .deadLetters).messageCount == 1)
        }
    }

    @Test(arguments: TestNATS.binaries)
    func `what has to wait is never a dead letter`(_ binary: String) async throws {
        try await BusUnderTest.run(binary) { test in
            let bus = test.bus
            let task = newTask()
            let counts = Journal<Int>()
            _ = try await bus.publish(report(1, task), on: .results(developer, task), id: nil)
            try await beside({
                try await bus.consume(.allResults, as: BusTopology.orchestratorResults) { batch in
                    batch.map { received in
                        counts.add(received.deliveryCount)
                        let isEnough = received.deliveryCount > BusTopology.deliveriesMax
                        return isEnough ? .acknowledge : .wait(.milliseconds(50))
                    }
                }
            }) {
                let count = BusTopology.deliveriesMax + 1
                let counted = try await counts.wait(for: count)
                #expect(counted == Array(1...count))
            }
            #expect(bus.counts.deadLettered == 0)
        }
    }

    @Test(arguments: TestNATS.binaries)
    func `what had to wait may still fail as often as anything else`(_ binary: String) async throws {
        try await BusUnderTest.run(binary) { test in
            let bus = test.bus
            let task = newTask()
            let counts = Journal<Int>()
            let letters = try test.connection.subscribe("dlq.>")
            _ = try await bus.publish(report(1, task), on: .results(developer, task), id: nil)
            try await beside({
                try await bus.consume(.allResults, as: BusTopology.orchestratorResults) { batch in
                    batch.map { received in
                        counts.add(received.deliveryCount)
                        let isLocked = received.deliveryCount <= BusTopology.deliveriesMax
                        return isLocked ? .wait(.milliseconds(20)) : .retry(after: .milliseconds(20), error: "no")
                    }
                }
            }) {
                for await letter in letters {
                    #expect(letter.headers[MessageHeader.reason] == "deliveries_exhausted")
                    break
                }
                #expect(counts.entries == Array(1...(2 * BusTopology.deliveriesMax)))
            }
        }
    }

    @Test(
        arguments: TestNATS.binaries,
        [
            "not json", "{\"v\":2,\"task_id\":\"0\"}", "{\"v\":1}", "\u{0}", "",
            "{\"v\":1,\"v\":1}", "{\"v\":1,\"outcome\":\"a\\r\\nGolden-Reason: forged\"}",
        ]
    )
    func `what cannot be read is a dead letter at once and its neighbours pass`(
        _ binary: String, _ body: String
    ) async throws {
        try await BusUnderTest.run(binary) { test in
            let bus = test.bus
            let task = newTask()
            let letters = try test.connection.subscribe("dlq.>")
            _ = try await test.connection.publishToStream("results.developer.x", payload: Array(body.utf8))
            _ = try await bus.publish(report(1, task), on: .results(developer, task), id: nil)
            let seen = Journal<AgentReport>()
            try await beside({
                try await bus.consume(.allResults, as: BusTopology.orchestratorResults) { batch in
                    batch.forEach { seen.add($0.message) }
                    return batch.map { _ in .acknowledge }
                }
            }) {
                for await letter in letters {
                    #expect(letter.payload == Array(body.utf8))
                    #expect(letter.headers[MessageHeader.reason] == "undecodable")
                    #expect(letter.headers[MessageHeader.attempts] == "1")
                    #expect(letter.headers[MessageHeader.error]?.isEmpty == false)
                    break
                }
                let passed = try await seen.wait(for: 1)
                #expect(passed == [report(1, task)])
            }
        }
    }

    @Test(arguments: TestNATS.binaries)
    func `an empty message that looks like a word of the server is a dead letter and its neighbours pass`(
        _ binary: String
    ) async throws {
        try await BusUnderTest.run(binary) { test in
            let bus = test.bus
            let task = newTask()
            let statuses: Set = ["100", "409", "503"]
            let letters = try test.connection.subscribe("dlq.>")
            for status in statuses {
                _ = try await test.connection.publishToStream(
                    "results.developer.x", headers: ["Status": status], payload: [])
            }
            _ = try await bus.publish(report(1, task), on: .results(developer, task), id: nil)
            let seen = Journal<AgentReport>()
            try await beside({
                try await bus.consume(.allResults, as: BusTopology.orchestratorResults) { batch in
                    batch.forEach { seen.add($0.message) }
                    return batch.map { _ in .acknowledge }
                }
            }) {
                var buried: Set<String> = []
                for await letter in letters {
                    #expect(letter.headers[MessageHeader.reason] == "undecodable")
                    #expect(letter.headers[MessageHeader.attempts] == "1")
                    if let status = letter.headers["Status"] { buried.insert(status) }
                    if buried == statuses { break }
                }
                let passed = try await seen.wait(for: 1)
                #expect(passed == [report(1, task)])
            }
        }
    }

    @Test(arguments: TestNATS.binaries)
    func `a broken world loses nothing, and nothing becomes a dead letter`(_ binary: String) async throws {
        try await BusUnderTest.run(binary) { test in
            let bus = test.bus
            for number in 1...10 {
                let task = newTask()
                _ = try await bus.publish(report(number, task), on: .results(developer, task), id: nil)
            }
            let calls = Mutex(0)
            let done = Journal<Int>()
            try await beside({
                try await bus.consume(.allResults, as: BusTopology.orchestratorResults) { batch in
                    let call = calls.withLock { calls in
                        calls += 1
                        return calls
                    }
                    if call <= 40 { throw BusError(.unavailable, "The database is away.") }
                    batch.forEach { done.add(Int($0.sequence)) }
                    return batch.map { _ in .acknowledge }
                }
            }) {
                let handled = try await done.wait(for: 10)
                #expect(Set(handled) == Set(1...10))
            }
            #expect(bus.counts.deadLettered == 0)
        }
    }

    @Test(arguments: TestNATS.binaries)
    func `one broken message does not hold up its batch`(_ binary: String) async throws {
        try await BusUnderTest.run(binary) { test in
            let bus = test.bus
            for number in 1...20 {
                let task = newTask()
                _ = try await bus.publish(report(number, task), on: .results(developer, task), id: nil)
            }
            let done = Journal<Int>()
            try await beside({
                try await bus.consume(.allResults, as: BusTopology.orchestratorResults) { batch in
                    if batch.contains(where: { $0.sequence == 1 }) { throw BusError(.refused, "This one is bad.") }
                    batch.forEach { done.add(Int($0.sequence)) }
                    return batch.map { _ in .acknowledge }
                }
            }) {
                let neighbours = try await done.wait(for: 19)
                #expect(Set(neighbours) == Set(2...20))
                #expect(bus.counts.deadLettered == 0)
                // Others pass while it keeps failing, so it is the message.
                var number = 100
                while bus.counts.deadLettered == 0 {
                    let task = newTask()
                    _ = try await bus.publish(report(number, task), on: .results(developer, task), id: nil)
                    number += 1
                    _ = try await done.wait(for: 20 + number - 101)
                }
            }
        }
    }

    @Test(arguments: TestNATS.binaries)
    func `closing the valve finishes the batch in hand and hands the rest back`(_ binary: String) async throws {
        try await BusUnderTest.run(binary) { test in
            let bus = test.bus
            for number in 1...10 {
                let task = newTask()
                _ = try await bus.publish(report(number, task), on: .results(developer, task), id: nil)
            }
            let valve = IntakeValve()
            let first = Journal<Int>()
            try await bus.consume(.allResults, as: BusTopology.orchestratorResults, batchMax: 3, valve: valve) {
                batch in
                valve.close()
                first.add(batch.count)
                return batch.map { _ in .acknowledge }
            }
            let handled = first.entries.reduce(0, +)
            #expect(first.entries.count == 1 && handled <= 3)
            let rest = Journal<Int>()
            try await beside({
                try await bus.consume(.allResults, as: BusTopology.orchestratorResults) { batch in
                    batch.forEach { rest.add(Int($0.sequence)) }
                    return batch.map { _ in .acknowledge }
                }
            }) {
                let taken = try await rest.wait(for: 10 - handled)
                #expect(Set(taken).count == 10 - handled)
            }
        }
    }

    @Test(arguments: TestNATS.binaries)
    func `a message too large for the server is refused and said to be so`(_ binary: String) async throws {
        try await BusUnderTest.run(binary) { test in
            let item = try workItem(input: "\"" + String(repeating: "x", count: 3 << 20) + "\"")
            let error = await #expect(throws: BusError.self) {
                try await test.bus.publish(item, on: .work(developer), id: nil)
            }
            #expect(error?.code == .messageTooLarge)
            #expect(error?.isTransient == false)
        }
    }

    @Test(arguments: TestNATS.binaries)
    func `subscribers pass over what they cannot read`(_ binary: String) async throws {
        try await BusUnderTest.run(binary) { test in
            let notices = try test.bus.subscribe(.allCancels)
            let task = newTask()
            try test.connection.publish("control.cancel.x", headers: [:], payload: Array("nonsense".utf8))
            let notice = CancelNotice(task: task, attempt: 2, reason: "enough")
            try test.bus.send(notice, on: .cancel(task))
            for await heard in notices {
                #expect(heard == notice)
                break
            }
            #expect(test.bus.counts.undecodable == 1)
        }
    }
}
