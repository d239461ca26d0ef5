internal import Bootstrap
internal import Contracts
internal import FoundationEssentials
internal import Logging
internal import ServiceLifecycle
internal import Storage
internal import SupervisorCore

/// Comes back to what no message would: escalations whose message was lost, analysts who are silent, humans who are
/// slow, failures that recur, and what is to be counted.
///
/// Any number of replicas sweep at once: each row is worked on by one of them, and what it did is done.
final class Sweeper: Service {
    static let interval: Duration = .seconds(1)
    /// Rows changed in one statement; a full one is followed by the next at once.
    static let batchMax = 200
    /// Kinds of failures looked at in one turn.
    static let kindsMax = 50
    /// Who proposes what was learned.
    static let proposer = "supervisor"

    private let store: SupervisionStore
    private let patterns: PatternStore
    private let intake: EscalationIntake
    private let herald: Herald
    private let instruments: SupervisorInstruments
    private let logger: Logger

    init(
        store: SupervisionStore, patterns: PatternStore, intake: EscalationIntake, herald: Herald,
        instruments: SupervisorInstruments, logger: Logger
    ) {
        self.store = store
        self.patterns = patterns
        self.intake = intake
        self.herald = herald
        self.instruments = instruments
        self.logger = logger
    }

    func run() async throws {
        try await runUntilShutdown {
            while true {
                try await self.attempt("escalations") { while try await self.intake.meet(nil) > 0 {} }
                try await self.attempt("analyses") { try await self.endAnalyses() }
                try await self.attempt("reminders") { try await self.remind() }
                try await self.attempt("patterns") { try await self.learn() }
                try await self.attempt("metrics") { try await self.count() }
                try await Task.sleep(for: Self.interval, tolerance: .milliseconds(100))
            }
        }
    }

    /// One part that fails keeps no other from its turn.
    private func attempt(_ what: String, _ body: () async throws -> Void) async throws {
        do {
            try await body()
        } catch {
            try Task.checkCancellation()
            logger.warning("a sweep failed; it is repeated", metadata: ["of": "\(what)", "error": "\(error)"])
        }
    }

    private func endAnalyses() async throws {
        while true {
            let ended = try await store.endAnalyses(limit: Self.batchMax)
            for waiting in ended {
                instruments.silent()
                herald.alert(waiting)
            }
            if ended.count < Self.batchMax { return }
        }
    }

    private func remind() async throws {
        while true {
            let raised = try await store.raiseSeverity(limit: Self.batchMax)
            for waiting in raised { herald.alert(waiting) }
            if raised.count < Self.batchMax { return }
        }
    }

    private func learn() async throws {
        for kind in try await patterns.unlearned(limit: Self.kindsMax) {
            let outcome = try await patterns.learn(
                kind, failuresMin: Lessons.failuresMin, windowHours: Lessons.windowHours, proposer: Self.proposer,
                find: { Lessons.finding($0) }
            )
            guard case .proposed(let prompt, let occurrences) = outcome else { continue }
            instruments.proposed()
            logger.notice(
                "proposed a prompt update",
                metadata: ["role": "\(kind.role)", "prompt": "\(prompt)", "occurrences": "\(occurrences)"])
        }
    }

    private func count() async throws {
        while true {
            let resolved = try await store.countResolved(limit: Self.batchMax)
            for escalation in resolved { instruments.resolved(escalation) }
            if resolved.count < Self.batchMax { break }
        }
        instruments.show(try await store.unresolved())
    }
}
