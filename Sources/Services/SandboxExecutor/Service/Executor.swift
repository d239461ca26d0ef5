internal import Bootstrap
internal import Contracts
internal import Coordination
internal import FoundationEssentials
internal import Logging
internal import MessageBus
internal import SandboxExecutorCore
internal import ServiceLifecycle
internal import Storage

/// Takes waiting runs fairly, runs as many at once as it may, and stores what came of each.
///
/// A claim is a lease in Postgres, extended while the run goes on: an executor that is killed loses it, and the run
/// waits again. What a lost claim produced counts for nothing.
final class Executor: Service {
    static let pollInterval: Duration = .seconds(1)
    /// What a killed executor left is removed by those that live, so often.
    static let sweepInterval: Duration = .seconds(30)
    static let renewInterval: Duration = .seconds(4)
    /// How long runs may go on when the executor is told to stop; then they are given back.
    static let drainMax: Duration = .seconds(15)
    /// A run that had started nothing when it was looked at first is looked at so often.
    static let startCheckInterval: Duration = .seconds(1)
    /// A result that cannot be stored is tried so often, a second apart.
    static let storeTries = 10

    private let id: String
    private let engine: Engine
    private let store: SandboxStore
    private let bus: MessageBus
    private let board: RunBoard
    private let publisher: ResultPublisher
    private let breaker: CircuitBreaker
    private let soundAfter: Duration
    private let instruments: ExecutorInstruments
    private let logger: Logger
    private let starts: AsyncStream<Start>
    private let start: AsyncStream<Start>.Continuation

    private struct Start: Sendable {
        let ticket: FairQueue.Ticket
        let admission: CircuitBreaker.Ticket
    }

    init(
        id: String, engine: Engine, store: SandboxStore, bus: MessageBus, board: RunBoard, publisher: ResultPublisher,
        breaker: CircuitBreaker, soundAfter: Duration, instruments: ExecutorInstruments, logger: Logger
    ) {
        self.id = id
        self.engine = engine
        self.store = store
        self.bus = bus
        self.board = board
        self.publisher = publisher
        self.breaker = breaker
        self.soundAfter = soundAfter
        self.instruments = instruments
        self.logger = logger
        (starts, start) = AsyncStream.makeStream(of: Start.self, bufferingPolicy: .unbounded)
    }

    /// `starts` never holds more than `board.concurrency`: each has its place on the board before it is yielded.
    func run() async throws {
        await withDiscardingTaskGroup { group in
            group.addTask { await self.lead() }
            for await next in starts { group.addTask { await self.execute(next) } }
            group.cancelAll()
        }
        await engine.shutdown()
        try Task.checkCancellation()
    }

    /// Until told to stop; then drains, keeping the leases of what still runs.
    private func lead() async {
        await withTaskGroup(of: Void.self) { group in
            group.addTask { await self.renewRegularly() }
            await self.leadUntilShutdown()
            board.close()
            let end = ContinuousClock.now + Self.drainMax
            while !board.running.isEmpty, !Task.isCancelled {
                if ContinuousClock.now >= end { board.stopAll(.abandoned) }
                do { try await Task.sleep(for: .milliseconds(50)) } catch { break }
            }
            board.stopAll(.abandoned)
            group.cancelAll()
        }
        start.finish()
    }

    private func leadUntilShutdown() async {
        do {
            try await runUntilShutdown {
                try await withThrowingTaskGroup(of: Void.self) { group in
                    group.addTask { try await self.pollRegularly() }
                    group.addTask { try await self.obey() }
                    group.addTask { try await self.dispatch() }
                    group.addTask { try await self.engine.warm.run(self.engine) }
                    group.addTask { try await self.sweepRegularly() }
                    try await group.next()
                    group.cancelAll()
                }
            }
        } catch {
            if !(error is CancellationError) { logger.error("the executor stops", metadata: ["error": "\(error)"]) }
        }
    }

    // MARK: What there is to do

    private func pollRegularly() async throws {
        while true {
            do {
                let back = try await store.takeBack()
                if back > 0 { logger.notice("runs of lost executors were taken back", metadata: ["count": "\(back)"]) }
                let (tickets, count) = try await store.waiting(limit: RunBoard.waitingMax)
                instruments.waiting(count)
                instruments.running(board.running.count)
                instruments.warm(engine.warm.counts)
                board.replace(with: tickets.map { FairQueue.Ticket($0.id, $0.tenant) })
            } catch {
                try Task.checkCancellation()
                logger.warning("waiting runs could not be looked for", metadata: ["error": "\(error)"])
            }
            try await Task.sleep(for: Self.pollInterval, tolerance: .milliseconds(100))
        }
    }

    private func sweepRegularly() async throws {
        while true {
            await engine.sweep()
            try await Task.sleep(for: Self.sweepInterval, tolerance: .seconds(1))
        }
    }

    private func dispatch() async throws {
        for await _ in board.nudges {
            while board.hasRoomAndWork {
                switch await breaker.admit() {
                case .admitted(let admission):
                    if let ticket = board.takeNext() {
                        start.yield(Start(ticket: ticket, admission: admission))
                    } else {
                        breaker.finish(admission, .ignored)
                    }
                case .refused(let refusal):
                    // What waits goes on waiting.
                    logger.warning("the sandbox's breaker is open", metadata: ["retry_after": "\(refusal.retryAfter)"])
                    try await Task.sleep(for: min(max(refusal.retryAfter, .milliseconds(100)), .seconds(5)))
                }
            }
        }
    }

    private func obey() async throws {
        for await order in try bus.subscribe(.sandboxControl) {
            switch order.verb {
            case .cancel: board.stop(order.execution, .canceled)
            case .replay: board.log(of: order.execution)?.tellAgain()
            }
        }
    }

    private func renewRegularly() async {
        while true {
            do {
                try await Task.sleep(for: Self.renewInterval, tolerance: .milliseconds(200))
                let running = board.running
                let held = try await store.renew(running, by: id)
                for execution in running {
                    switch held[execution] {
                    case true?: board.stop(execution, .canceled)
                    case false?: break
                    // Being claimed or stored at this moment, or lost: a lost one finds out when it is to be stored.
                    case nil: break
                    }
                }
            } catch {
                if Task.isCancelled { return }
                logger.warning("leases could not be extended", metadata: ["error": "\(error)"])
            }
        }
    }

    // MARK: One run

    private func execute(_ start: Start) async {
        let execution = start.ticket.execution
        defer { board.end(execution) }
        var outcome = BreakerOutcome.ignored
        let word = BreakerWord(breaker, start.admission)
        defer { word.say(outcome) }
        do {
            guard let claimed = try await store.claim(execution, by: id) else {
                // Somebody else has it, or it has ended: whoever asked again hears of that.
                if let known = try await store.find(execution, tenant: start.ticket.tenant), known.state == .ended {
                    try await publisher.republish(known)
                }
                return
            }
            let start = Date()
            let done = await run(claimed, word)
            bus.tracer.record(
                "sandbox execution", under: claimed.execution.traceparent, from: start,
                attributes: [
                    ("execution_id", "\(execution)"), ("language", claimed.execution.language),
                    ("status", done.outcome.status.rawValue),
                ], isFailed: done.isEngineFailure)
            // A request that was refused says nothing of the engine.
            let isRefused = done.outcome.failure?.code == SandboxOutcome.Failure.invalidRequest
            if !done.wasAbandoned, !isRefused { outcome = done.isEngineFailure ? .failure : .success }
            try await keep(done, of: claimed.execution)
        } catch {
            logger.warning(
                "a run could not be claimed or kept; it will be run again",
                metadata: ["execution_id": "\(execution)", "error": "\(error)"])
        }
    }

    private func run(_ claimed: ClaimedExecution, _ word: BreakerWord) async -> Engine.Done {
        let execution = claimed.execution
        let log = EventLog { [bus, logger] event in
            do throws(BusError) {
                try bus.send(event, on: .sandboxEvents(execution.tenant, execution.id))
            } catch {
                logger.debug("nobody was told of output", metadata: ["error": "\(error)"])
            }
        }
        board.begin(execution.id, log)
        let plan: RunPlan
        do {
            plan = try engine.rules.plan(SandboxProgram(json: claimed.request), tenant: execution.tenant)
        } catch {
            let why = (error as? ProgramRules.Refusal)?.message ?? "\(error)"
            let outcome = SandboxOutcome.failed(SandboxOutcome.Failure.invalidRequest, why)
            return Engine.Done(outcome: outcome, pieces: Pieces(), isEngineFailure: false)
        }
        let job = Engine.Job(
            execution: execution.id, attempt: execution.tries, plan: plan, onEvents: { log.tell($0) },
            onStart: { [board] in board.hold(execution.id, $0) }
        )
        // Without this process's word nobody ends its sandboxes, so they end with the task.
        return await withTaskCancellationHandler {
            await withTaskGroup(of: Void.self, returning: Engine.Done.self) { group in
                group.addTask { [board, soundAfter] in
                    do {
                        try await Task.sleep(for: soundAfter)
                        // What never starts anything hangs, and fails when it ends; what starts late is well all the
                        // same, and a probe's lease is short.
                        while !board.hasStarted(execution.id) { try await Task.sleep(for: Self.startCheckInterval) }
                    } catch {
                        return
                    }
                    word.say(.success)
                }
                let done = await engine.run(job)
                group.cancelAll()
                return done
            }
        } onCancel: { [board] in
            board.stop(execution.id, .abandoned)
        }
    }

    private func keep(_ done: Engine.Done, of execution: Execution) async throws {
        if done.wasAbandoned { return try await store.release(execution, by: id) }
        for attempt in 1... {
            do {
                let isKept = try await store.end(
                    execution, by: id, outcome: done.outcome, pieces: done.pieces.text)
                guard isKept else {
                    return logger.notice(
                        "a result came too late",
                        metadata: [
                            "execution_id": "\(execution.id)",
                            "trace_id": "\(TraceContext.id(of: execution.traceparent))",
                        ])
                }
                break
            } catch {
                if attempt == Self.storeTries || Task.isCancelled { throw error }
                try await Task.sleep(for: .seconds(1))
            }
        }
        instruments.ended(execution.language, done.outcome)
        let finale = SandboxEvents.finale(execution.id, execution.tries, done.outcome, done.pieces)
        board.log(of: execution.id)?.tell(finale)
        await publisher.publish(execution, outcome: done.outcome)
    }
}
