import Testing

@testable import Redis

@Suite struct PipelineTests {
    private let start = ContinuousClock.now

    private func call(_ milliseconds: Int) -> Call {
        Call(bytes: [UInt8(milliseconds)], deadline: start + .milliseconds(milliseconds))
    }

    @Test func `replies go to calls in the order they were sent`() throws {
        var pipeline = Pipeline()
        let calls = [call(10), call(20), call(30)]
        pipeline.accept(calls)
        var endings: [Pipeline.Ending] = []
        for expected in calls {
            #expect(pipeline.nextToSend(now: start, endings: &endings) === expected)
        }
        #expect(pipeline.nextToSend(now: start, endings: &endings) == nil)
        for expected in calls { try #expect(pipeline.pair(.success(.null)).call === expected) }
        #expect(endings.isEmpty)
        #expect(pipeline.isIdle)
        #expect(throws: RedisError.self) { try pipeline.pair(.success(.null)) }
    }

    @Test func `a call that ended or expired while waiting is not sent`() {
        var pipeline = Pipeline()
        let left = call(50)
        left.finish(.failure(.cancelled))
        let calls = [left, call(10), call(30)]
        pipeline.accept(calls)
        var endings: [Pipeline.Ending] = []
        #expect(pipeline.nextToSend(now: start + .milliseconds(20), endings: &endings) === calls[2])
        #expect(endings.map(\.call.bytes) == [[50], [10]])
    }

    @Test func `only a sent call that is late costs the connection`() {
        var pipeline = Pipeline()
        var endings: [Pipeline.Ending] = []
        pipeline.accept([call(30)])
        _ = pipeline.nextToSend(now: start, endings: &endings)
        pipeline.accept([call(10), call(40)])
        #expect(pipeline.earliestDeadline == start + .milliseconds(10))
        #expect(!pipeline.expire(now: start + .milliseconds(20), endings: &endings))
        #expect(endings.map(\.call.bytes) == [[10]])
        #expect(pipeline.earliestDeadline == start + .milliseconds(30))
        #expect(pipeline.expire(now: start + .milliseconds(30), endings: &endings))
        let rest = pipeline.abandon(now: start + .milliseconds(30), failure: .lost(.timedOut))
        #expect(rest.map(\.call.bytes) == [[30], [40]])
        #expect(rest.map { code($0.outcome) } == [.timeout, .disconnected])
        #expect(pipeline.isIdle)
    }

    @Test func `a queue keeps its order through any mixture of appending and taking`() {
        var queue = FIFO<Int>()
        var next = 0
        var expected = 0
        for round in 0..<500 {
            for _ in 0..<(round % 7) {
                queue.append(next)
                next += 1
            }
            for _ in 0..<(round % 5) where !queue.isEmpty {
                #expect(queue.popFirst() == expected)
                expected += 1
            }
            #expect(queue.count == next - expected)
        }
        #expect(queue.removeAll() == Array(expected..<next))
        #expect(queue.popFirst() == nil)
    }

    private func code(_ outcome: Call.Outcome) -> RedisError.Code? {
        if case .failure(let error) = outcome { error.code } else { nil }
    }
}

@Suite struct RedisConfigurationTests {
    @Test func `a printed configuration holds no password`() {
        let configuration = RedisConfiguration(username: "worker", password: "secret-word")
        var dumped = ""
        dump(configuration, to: &dumped)
        for text in ["\(configuration)", String(reflecting: configuration), dumped] {
            #expect(!text.contains("secret-word"))
        }
    }
}
