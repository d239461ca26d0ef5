internal import Coordination
internal import Glibc
internal import Synchronization

/// Makes the calls it is told to, and says what became of them.
final class BreakerReplica: Sendable {
    static let breakerName = "external_api"
    /// As many ask at once while it waits for probes.
    private static let askersMax = 20

    private struct Failed: Error {}

    private let registry: BreakerRegistry
    private let breaker: CircuitBreaker
    private let changes: AsyncStream<BreakerStatus>
    private let underWay = Mutex<[CircuitBreaker.Ticket]>([])

    init(_ registry: BreakerRegistry) throws {
        self.registry = registry
        changes = registry.changes()
        breaker = try registry.breaker(Self.breakerName)
    }

    /// Says every change of state, until cancelled.
    func showChanges() async {
        for await status in changes { Self.say("state \(Self.words(status))") }
    }

    /// Does what the lines say, one after the other, until they end.
    func follow(_ lines: AsyncStream<String>) async {
        Self.say("ready")
        for await line in lines {
            let words = line.split(separator: " ").map(String.init)
            let number = words.count > 1 ? Int(words[1]) ?? 0 : 0
            switch words.first {
            case "fail": Self.say("done \(line) \(await make(number, .failure))")
            case "succeed": Self.say("done \(line) \(await make(number, .success))")
            case "begin": Self.say("done \(line) \(await begin(number))")
            case "end": Self.say("done \(line) \(end(words.last == "failure" ? .failure : .success))")
            case "probe": Self.say("done \(line) \(await probe(holding: .milliseconds(number)))")
            case "reset": await command(.automatic, line)
            case "open": await command(.forcedOpen, line)
            case "state": Self.say("done \(line) \(Self.words(breaker.status))")
            case "measure": Self.say("done \(line) \(await BreakerCost(breaker).measured(calls: number))")
            default: Self.say("error unknown \(line)")
            }
        }
    }

    // MARK: Calls

    private func make(_ count: Int, _ outcome: BreakerOutcome) async -> String {
        var admittedCount = 0
        for _ in 0..<count {
            guard case .admitted(let ticket) = await breaker.admit() else { continue }
            breaker.finish(ticket, outcome)
            admittedCount += 1
        }
        return "\(admittedCount) \(count - admittedCount)"
    }

    private func begin(_ count: Int) async -> Int {
        for _ in 0..<count {
            guard case .admitted(let ticket) = await breaker.admit() else { continue }
            underWay.withLock { $0.append(ticket) }
        }
        return underWay.withLock { $0.count }
    }

    private func end(_ outcome: BreakerOutcome) -> Int {
        let tickets = underWay.withLock { tickets in
            defer { tickets = [] }
            return tickets
        }
        for ticket in tickets { breaker.finish(ticket, outcome) }
        return tickets.count
    }

    /// How many calls were let through before the breaker closed. Each of them is a probe: the breaker stays half-open
    /// for as long as one is under way.
    private func probe(holding time: Duration) async -> Int {
        await withTaskGroup(of: Int.self) { group in
            for _ in 0..<Self.askersMax { group.addTask { await self.insist(holding: time) } }
            return await group.reduce(0, +)
        }
    }

    private func insist(holding time: Duration) async -> Int {
        var probes = 0
        while breaker.status.state != .closed {
            guard case .admitted(let ticket) = await breaker.admit() else {
                await Task.yield()
                continue
            }
            if breaker.status.state != .closed {
                probes += 1
                do { try await Task.sleep(for: time) } catch { return probes }
            }
            breaker.finish(ticket, .success)
        }
        return probes
    }

    private func command(_ mode: BreakerMode, _ line: String) async {
        Self.say("begins \(line)")
        do throws(CoordinationError) {
            let command = BreakerCommand(mode, name: Self.breakerName, reason: "told to", actor: "operator")
            _ = try await registry.carryOut(command)
            Self.say("done \(line)")
        } catch {
            Self.say("error \(error.code.rawValue)")
        }
    }

    // MARK: Words

    private static func words(_ status: BreakerStatus) -> String {
        "\(status.state.word) \(status.origin) \(status.calls) \(status.isShared ? "shared" : "alone")"
    }

    /// One line, written at once.
    private static func say(_ text: String) {
        let line = Array("\(microseconds()) \(text)\n".utf8)
        // Whoever does not listen any more has no use for it.
        _ = line.withUnsafeBytes { unsafe write(1, $0.baseAddress, $0.count) }
    }

    /// Of the clock that all processes of a machine share.
    private static func microseconds() -> Int64 {
        var time = timespec()
        _ = clock_gettime(CLOCK_MONOTONIC, &time)
        return Int64(time.tv_sec) * 1_000_000 + Int64(time.tv_nsec) / 1000
    }
}
