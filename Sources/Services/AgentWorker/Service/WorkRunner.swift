internal import AgentWorkerCore
internal import Bootstrap
internal import Contracts
internal import FoundationEssentials
internal import Logging
internal import MessageBus
internal import ServiceLifecycle
internal import Synchronization

/// Leases work, runs it on a back end, reports, and settles: the shell around `LeaseBook`, which decides.
final class WorkRunner: Service {
    /// How often deadlines are looked at.
    private static let tickInterval: Duration = .milliseconds(250)
    /// Heartbeats are sent every this many ticks: every ten seconds.
    private static let ticksPerHeartbeat = 40
    /// Before another agent is offered work whose outcome this one cannot report.
    private static let handOverDelay: Duration = .seconds(5)

    private static let forOthersDelayMax: Duration = .seconds(5)

    /// Work that is handed back is not taken again in the same moment.
    private static let handBackMin: Duration = .milliseconds(100)

    private struct Running {
        var lease: WorkLeases.Lease
        let stop: StopSignal
    }

    private struct State {
        var book = LeaseBook()
        var running: [LeaseBook.Key: Running] = [:]
        /// Kept beyond the end of `run`, so that what is still on its way then is handed back, not lost.
        var leases: WorkLeases?
    }

    private enum Ended { case drained, other }

    private let configuration: AgentWorkerConfiguration
    private let bus: MessageBus
    private let backend: any Backend
    private let reporter: Reporter
    private let health: AgentHealth
    private let logger: Logger
    private let state = Mutex(State())
    private let inbox: AsyncStream<LeaseBook.Key>
    private let starts: AsyncStream<LeaseBook.Key>.Continuation

    init(
        _ configuration: AgentWorkerConfiguration, bus: MessageBus, backend: any Backend, health: AgentHealth,
        logger: Logger
    ) {
        self.configuration = configuration
        self.health = health
        self.bus = bus
        self.backend = backend
        self.logger = logger
        reporter = Reporter(bus: bus, agent: configuration.agent, logger: logger)
        // Bounded by the slots: a lease is in hand from before it is yielded until after it is run.
        (inbox, starts) = AsyncStream.makeStream(of: LeaseBook.Key.self, bufferingPolicy: .unbounded)
    }

    /// The tasks in hand, for announcements.
    var tasks: [TaskID] { state.withLock { $0.running.keys.map(\.task) } }

    func run() async throws {
        let leases: WorkLeases
        do {
            leases = try await cancelWhenGracefulShutdown {
                try await self.bus.leaseWork(of: self.configuration.roles, slots: self.configuration.slots)
            }
        } catch is CancellationError {
            // Told to stop before there was anything to stop.
            return
        }
        state.withLock { $0.leases = leases }
        logger.info("takes work", metadata: ["slots": "\(configuration.slots)"])
        try await withThrowingTaskGroup(of: Ended.self) { group in
            group.addTask {
                try await leases.run { self.take($0, leases) }
                return .other
            }
            group.addTask {
                try await self.backend.run()
                return .other
            }
            group.addTask { try await self.hearCancels(leases) }
            group.addTask { try await self.watchTime(leases) }
            group.addTask { try await self.drainWhenAsked(leases) }
            group.addTask { await self.followIntake(leases) }
            group.addTask {
                await self.runAll(leases)
                return .drained
            }
            while let ended = try await group.next(), ended != .drained {}
            group.cancelAll()
        }
    }

    // MARK: Events

    private func take(_ batch: [WorkLeases.Lease], _ leases: WorkLeases) {
        let now = Date()
        for lease in batch {
            if isForOthers(lease, now) {
                leases.release(lease, after: Self.forOthersDelay(lease.deliveryCount))
                continue
            }
            let key = LeaseBook.Key(task: lease.message.task, attempt: lease.message.attempt)
            let event = LeaseBook.Event.received(key, deadline: lease.message.deadline, now: now)
            let (actions, replaced) = state.withLock { state -> ([LeaseBook.Action], WorkLeases.Lease?) in
                let actions = state.book.apply(event)
                if actions.contains(.start(key)) {
                    state.running[key] = Running(lease: lease, stop: StopSignal())
                } else if actions.contains(.adopt(key)) {
                    defer { state.running[key]?.lease = lease }
                    return (actions, state.running[key]?.lease)
                }
                return (actions, nil)
            }
            for action in actions { carryOut(action, lease, replaced, leases) }
        }
    }

    /// Work whose report would not count, because it is for other agents or other owners' agents.
    private func isForOthers(_ lease: WorkLeases.Lease, _ now: Date) -> Bool {
        guard let exclusion = lease.message.exclusion, lease.message.deadline > now else { return false }
        return exclusion.excludes(configuration.agent, of: configuration.owner)
    }

    /// Short at first, so that somebody else has it at once; longer where nobody else is there.
    private static func forOthersDelay(_ deliveryCount: Int) -> Duration {
        min(.milliseconds(50 << min(max(0, deliveryCount - 1), 7)), forOthersDelayMax)
    }

    private func carryOut(
        _ action: LeaseBook.Action, _ lease: WorkLeases.Lease, _ replaced: WorkLeases.Lease?, _ leases: WorkLeases
    ) {
        switch action {
        case .start(let key):
            // Just when the drain began.
            if case .terminated = starts.yield(key) { abandon(key, lease, leases) }
        case .adopt:
            leases.extend([lease])
            if let replaced { leases.abandon(replaced) }
        case .drop, .acknowledge: leases.acknowledge([lease])
        case .giveBack: leases.release(lease)
        case .stop(let key, let reason): stop(key, reason)
        }
    }

    private func abandon(_ key: LeaseBook.Key, _ lease: WorkLeases.Lease, _ leases: WorkLeases) {
        state.withLock { state in
            _ = state.book.apply(.finished(key, isReported: false))
            state.running[key] = nil
        }
        leases.release(lease)
    }

    /// Events that can only stop work.
    private func apply(_ event: LeaseBook.Event) {
        for case .stop(let key, let reason) in state.withLock({ $0.book.apply(event) }) { stop(key, reason) }
    }

    private func stop(_ key: LeaseBook.Key, _ reason: LeaseBook.StopReason) {
        let running = state.withLock { $0.running[key] }
        running?.stop.stop(reason)
        logger.info(
            "stops a work item",
            metadata: [
                "task_id": "\(key.task)", "attempt": "\(key.attempt)", "reason": "\(reason.rawValue)",
                "trace_id": "\(TraceContext.id(of: running?.lease.traceparent))",
            ]
        )
    }

    private func hearCancels(_ leases: WorkLeases) async throws -> Ended {
        for await notice in try bus.subscribe(.allCancels) {
            apply(.canceled(notice.task, upTo: notice.attempt))
        }
        return .other
    }

    /// One timer for all leases: deadlines every quarter of a second, heartbeats every ten seconds.
    private func watchTime(_ leases: WorkLeases) async throws -> Ended {
        var ticks = 0
        while true {
            try await Task.sleep(for: Self.tickInterval, tolerance: .milliseconds(50))
            ticks += 1
            apply(.tick(now: Date()))
            guard ticks % Self.ticksPerHeartbeat == 0 else { continue }
            leases.extend(state.withLock { $0.running.values.map(\.lease) })
        }
    }

    /// Takes as much work as the back end can use.
    private func followIntake(_ leases: WorkLeases) async -> Ended {
        for await intake in backend.intake {
            switch intake {
            case .everything: leases.limit(to: configuration.slots)
            case .one: leases.limit(to: 1)
            case .nothing: leases.limit(to: 0)
            }
            logger.info("takes work", metadata: ["intake": "\(intake)"])
        }
        return .other
    }

    /// SIGTERM: no more work is taken; what is in hand may end within the drain time, the rest is handed back.
    private func drainWhenAsked(_ leases: WorkLeases) async throws -> Ended {
        try await gracefulShutdown()
        apply(.drainBegan)
        await leases.close()
        starts.finish()
        logger.info("drains", metadata: ["in_hand": "\(tasks.count)"])
        try await Task.sleep(for: configuration.drainTimeout)
        apply(.drainEnded)
        return .other
    }

    // MARK: Work

    /// Ends when the inbox is finished and nothing runs any more.
    private func runAll(_ leases: WorkLeases) async {
        await withDiscardingTaskGroup { group in
            for await key in inbox {
                group.addTask { await self.run(key, leases) }
            }
        }
    }

    private func run(_ key: LeaseBook.Key, _ leases: WorkLeases) async {
        guard let running = state.withLock({ $0.running[key] }) else { return }
        let (lease, stop) = (running.lease.working(bus.tracer), running.stop)
        let counter = ProgressCounter()
        let assignment = Assignment(
            item: lease.message, bytes: lease.payload, stop: stop, traceparent: lease.traceparent
        ) { progress in
            await self.reporter.report(progress, number: counter.next(), on: lease, stop: stop)
        }
        let start = Date()
        let end = stop.reason == nil ? await backend.work(on: assignment) : .stopped(nil)
        trace(end, of: lease, from: start)
        health.record(end, role: lease.message.role)
        if case .handedBack(let delay) = end, stop.reason == nil {
            return settle(key, isReported: false, max(delay, Self.handBackMin), leases)
        }
        switch await report(end, on: lease, stop: stop) {
        case .stored: settle(key, isReported: true, .zero, leases)
        case .tooLate: settle(key, isReported: false, .zero, leases)
        case .impossible: settle(key, isReported: false, Self.handOverDelay, leases)
        case .interrupted: settle(key, isReported: false, Self.handBackMin, leases)
        }
    }

    private func trace(_ end: WorkEnd, of lease: WorkLeases.Lease, from start: Date) {
        let item = lease.message
        let attributes = [
            ("task_id", "\(item.task)"), ("attempt", "\(item.attempt)"), ("agent", configuration.agent.text),
            ("role", item.role.text),
        ]
        let isFailed = if case .reported(.failed) = end { true } else { false }
        bus.tracer.end("agent work", lease.span, from: start, attributes: attributes, isFailed: isFailed)
    }

    private func report(_ end: WorkEnd, on lease: WorkLeases.Lease, stop: StopSignal) async -> Reporter.Outcome {
        switch (stop.reason, end) {
        case (nil, .reported(let body)), (.deadline, .reported(let body)):
            return await reporter.report(body, on: lease, stop: stop)
        case (.deadline, .stopped), (.deadline, .handedBack):
            guard Date() < lease.message.deadline else { return .tooLate }
            let failure = AgentReport.Failure(
                code: "deadline_exceeded", message: "The work was stopped at its deadline.", isRetryable: true,
                usage: end.usage
            )
            return await reporter.report(.failed(failure), on: lease, stop: stop)
        case (.canceled, _):
            let failure = AgentReport.Failure(
                code: "canceled", message: "The work was stopped on request.", isRetryable: false, usage: end.usage
            )
            return await reporter.report(.failed(failure), on: lease, stop: stop)
        case (.superseded, _), (.shutdown, _): return .tooLate
        // Nobody asked for a stop: something of this agent failed, and takes all of it along.
        case (nil, .stopped), (nil, .handedBack): return .interrupted
        }
    }

    /// - Parameter delay: not zero when the outcome can only come from another agent.
    private func settle(_ key: LeaseBook.Key, isReported: Bool, _ delay: Duration, _ leases: WorkLeases) {
        let (actions, lease) = state.withLock { state in
            (state.book.apply(.finished(key, isReported: isReported)), state.running.removeValue(forKey: key)?.lease)
        }
        guard let lease else { return }
        if actions.contains(.giveBack(key)) || delay > .zero {
            leases.release(lease, after: delay)
        } else {
            leases.acknowledge([lease])
        }
    }
}

/// Numbers the progress reports of one attempt from 1.
private final class ProgressCounter: Sendable {
    private let count = Mutex(0)

    func next() -> Int {
        count.withLock { count in
            count += 1
            return count
        }
    }
}
