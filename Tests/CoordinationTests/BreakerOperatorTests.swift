import Redis
import TestSupport
import Testing

@testable import Coordination

/// What operators see and say, and what a call makes of an outcome.
@Suite(.timeLimit(.minutes(3))) struct BreakerOperatorTests {
    private func command(
        _ fleet: BreakerFleet, _ mode: BreakerMode, on replica: Int = 0, duration: Duration? = nil, version: Int? = nil,
        name: String = BreakerFleet.name
    ) async throws -> BreakerCommand.Result {
        try await fleet.registries[replica].carryOut(
            BreakerCommand(mode, name: name, reason: "why", actor: "ops", duration: duration, version: version))
    }

    @Test func `a forced one lets nothing through anywhere until it is reset`() async throws {
        try await BreakerFleet.with { fleet in
            let opening = fleet.watches()
            guard case .done(let overview) = try await command(fleet, .forcedOpen, on: 1) else { throw Unexpected() }
            #expect(overview.mode == .forcedOpen && overview.state == .open && overview.modeEndsInSeconds == nil)
            await opening.all(.open)
            #expect(fleet.breakers.map(\.status.origin) == [.operator, .operator, .operator])
            guard case .refused(let refusal) = await fleet.breakers[2].admit() else { throw Unexpected() }
            #expect(refusal.state == .open)
            let closing = fleet.watches()
            _ = try await fleet.reset()
            await closing.all(.closed)
            _ = try await fleet.begin(3, on: 2)
        }
    }

    @Test func `a mode with an end ends by itself`() async throws {
        try await BreakerFleet.with(hearing: .poll) { fleet in
            let (opening, closing) = (fleet.watches(), fleet.watches())
            _ = try await command(fleet, .forcedOpen, duration: .milliseconds(700))
            await opening.all(.open)
            await closing.all(.closed)
            #expect(await fleet.overview?.mode == .automatic)
        }
    }

    @Test func `a disabled one counts nothing, one for metrics only counts, and neither opens`() async throws {
        try await BreakerFleet.with(1, hearing: .nothing) { fleet in
            _ = try await command(fleet, .disabled)
            await fleet.fail(50, on: 0)
            #expect(fleet.states == [.closed] && fleet.breakers[0].status.calls == 0)
            _ = try await command(fleet, .metricsOnly)
            await fleet.fail(50, on: 0)
            #expect(fleet.states == [.closed] && fleet.breakers[0].status.failures == 50)
            // What was counted meanwhile does not open it afterwards.
            _ = try await command(fleet, .automatic)
            await fleet.fail(19, on: 0)
            #expect(fleet.states == [.closed] && fleet.breakers[0].status.failures == 19)
            await fleet.fail(1, on: 0)
            #expect(fleet.states == [.open])
        }
    }

    @Test func `a command may expect a version, and names only what is used`() async throws {
        try await BreakerFleet.with(2, hearing: .nothing) { fleet in
            let version = try #require(await fleet.overview?.version)
            guard case .changedMeanwhile(let now) = try await command(fleet, .disabled, version: version - 1) else {
                throw Unexpected()
            }
            #expect(now.version == version && now.mode == .automatic)
            guard case .done(let done) = try await command(fleet, .disabled, version: version) else {
                throw Unexpected()
            }
            #expect(done.version == version + 1 && done.mode == .disabled)
            #expect(try await command(fleet, .automatic, name: "nobody") == .unknown)
        }
    }

    @Test func `breakers of other replicas are seen and commanded too`() async throws {
        try await BreakerFleet.with(2, hearing: .nothing) { fleet in
            let name = "llm:models.example:8443"
            let breaker = try fleet.registries[1].breaker(name)
            try await breaker.report()
            try await fleet.registries[1].index?.note([name])
            let seen = await fleet.registries[0].overviews()
            #expect(seen.map(\.name) == [BreakerFleet.name, name])
            #expect(seen[1].votes.map(\.replica) == ["replica-1"])
            guard case .done = try await command(fleet, .forcedOpen, on: 0, name: name) else { throw Unexpected() }
            try await breaker.report()
            #expect(breaker.status.state == .open)
        }
    }

    @Test func `a registry bounds names and their number`() async throws {
        try await BreakerFleet.with(1, hearing: .nothing) { fleet in
            let registry = fleet.registries[0]
            for name in ["", "a b", "-a", "ü", "a{b}", "a\n", String(repeating: "a", count: 129)] {
                let error = #expect(throws: CoordinationError.self) { try registry.breaker(name) }
                #expect(error?.code == .invalidEntry, "\(name)")
            }
            #expect(try registry.breaker("llm:[::1]:80") === registry.breaker("llm:[::1]:80"))
            for number in 2..<BreakerRegistry.namesMax { _ = try registry.breaker("n\(number)") }
            let error = #expect(throws: CoordinationError.self) { try registry.breaker("one-more") }
            #expect(error?.code == .full)
            #expect(registry.statuses.count == BreakerRegistry.namesMax)
        }
    }

    struct Broken: Error {}
    struct Refused: Error {}
    struct Unexpected: Error {}

    @Test func `a call's end counts as what it was`() async throws {
        try await BreakerFleet.with(1, hearing: .nothing) { fleet in
            let breaker = fleet.breakers[0]
            #expect(try await breaker.call { 7 } == 7)
            await #expect(throws: Broken.self) { try await breaker.call { throw Broken() } }
            await #expect(throws: Refused.self) {
                try await breaker.call(isFailure: { !($0 is Refused) }) { throw Refused() }
            }
            await #expect(throws: CancellationError.self) { try await breaker.call { throw CancellationError() } }
            try await breaker.call(slowAfter: .zero) { for _ in 0..<1000 { await Task.yield() } }
            let status = breaker.status
            #expect([status.calls, status.failures, status.slow] == [3, 1, 1])
        }
    }

    @Test func `a call that was cancelled says nothing, whatever it throws`() async throws {
        try await BreakerFleet.with(1, hearing: .nothing) { fleet in
            let breaker = fleet.breakers[0]
            let task = Task {
                try await breaker.call {
                    while !Task.isCancelled { await Task.yield() }
                    throw Broken()
                }
            }
            task.cancel()
            await #expect(throws: (any Error).self) { try await task.value }
            #expect(breaker.status.failures == 0)
        }
    }
}
