internal import ArgumentParser
internal import Contracts
internal import Foundation
internal import MessageBus
internal import Synchronization

/// Sessions in flight and the reviewers who vote in them.
final class ReviewLoad: Sendable {
    static let atOnceMax = 200
    /// A session takes no longer than that, or something is broken.
    static let secondsMax = 60
    /// Before the last needed vote of a session that is measured alone: all is quiet by then.
    static let pause: Duration = .milliseconds(20)

    private enum Event: Sendable {
        case work(WorkLeases.Lease)
        case decided(ReviewDecision, ContinuousClock.Instant)
    }

    /// Votes come in this order; with the usual weights the quorum needs the last of them, the heaviest.
    private static let reviewers: [(seat: ReviewTerms.Seat, agent: AgentID)] = [
        (seat("bench-developer", 1000), AgentID(literal: "bench-developer-1")),
        (seat("bench-tester", 1500), AgentID(literal: "bench-tester-1")),
        (seat("bench-reviewer", 2000), AgentID(literal: "bench-reviewer-1")),
        (seat("bench-architect", 2500), AgentID(literal: "bench-architect-1")),
        (seat("bench-security", 3000), AgentID(literal: "bench-security-1")),
    ]

    private static func seat(_ role: StaticString, _ weight: Int) -> ReviewTerms.Seat {
        ReviewTerms.Seat(role: AgentRole(literal: role), weight: Weight(tenThousandths: weight))
    }

    private static let vote = JSONWriter.object { writer in
        writer.field("vote", "approve")
        writer.field("rationale", "It does what was asked for, and its tests show it.")
        writer.field("concerns", ["line 12 could say why"])
    }
    private static let artifact = JSONWriter.object { $0.field("code", String(repeating: "x = x + 1\n", count: 100)) }

    private let bus: MessageBus
    private let leases: WorkLeases
    private let decisions: MessageSequence<ReviewDecision>
    private let sessions = Mutex<[ReviewID: AsyncStream<Event>.Continuation]>([:])

    init(_ bus: MessageBus) async throws {
        self.bus = bus
        leases = try await bus.leaseWork(
            of: Self.reviewers.map(\.seat.role), slots: Self.atOnceMax * Self.reviewers.count)
        decisions = try bus.subscribe(.reviewDecisions, bufferCount: 65_536)
    }

    // MARK: What runs beside

    func announceRegularly() async throws {
        while true {
            for (seat, agent) in Self.reviewers {
                let announcement = AgentAnnouncement(
                    agent: agent, roles: [seat.role], slots: 1, owner: "owner-of-\(agent)", version: "1", leases: [])
                try bus.send(announcement, on: .announcements)
            }
            try await Task.sleep(for: .seconds(AgentAnnouncement.intervalSeconds))
        }
    }

    func takeWork() async throws {
        try await leases.run { batch in
            for lease in batch {
                guard let session = lease.message.reply.flatMap({ Subject.session(of: $0.text) }),
                    self.tell(session, .work(lease))
                else { return self.leases.acknowledge([lease]) }
            }
        }
    }

    func hearDecisions() async {
        for await decision in decisions { _ = tell(decision.session, .decided(decision, .now)) }
    }

    private func tell(_ session: ReviewID, _ event: Event) -> Bool {
        guard let session = sessions.withLock({ $0[session] }) else { return false }
        session.yield(event)
        return true
    }

    // MARK: Reviews

    /// The consensus' time of each of `count` sessions.
    func flow(_ count: Int, atOnce: Int) async throws -> JSON {
        let start = ContinuousClock.now
        let times = try await withThrowingTaskGroup(of: Duration.self) { group in
            var times: [Duration] = []
            for number in 0..<count {
                if number >= atOnce, let time = try await group.next() { times.append(time) }
                group.addTask { try await self.review(pausing: false) }
            }
            for try await time in group { times.append(time) }
            return times.sorted()
        }
        let took = ContinuousClock.now - start
        return JSONWriter.object { writer in
            writer.field("sessions", times.count)
            writer.field("microseconds", Int(took / .microseconds(1)))
            writer.field("p50", Int(times[times.count / 2] / .microseconds(1)))
            writer.field("p99", Int(times[times.count * 99 / 100] / .microseconds(1)))
        }
    }

    /// One session from its request to its decision, every seat's work taken and voted for.
    func review(pausing: Bool) async throws -> Duration {
        let id = ReviewID(Self.id())
        // Five items and a decision.
        let (events, session) = AsyncStream.makeStream(of: Event.self, bufferingPolicy: .unbounded)
        sessions.withLock { $0[id] = session }
        defer { sessions.withLock { _ = $0.removeValue(forKey: id) } }
        try await ask(for: id)
        return try await withThrowingTaskGroup(of: Duration.self) { group in
            group.addTask { try await self.follow(events, pausing) }
            group.addTask {
                try await Task.sleep(for: .seconds(Self.secondsMax), tolerance: .seconds(1))
                throw ValidationError("Session \(id) was not decided within \(Self.secondsMax) s.")
            }
            defer { group.cancelAll() }
            return try await group.next() ?? .zero
        }
    }

    private func ask(for id: ReviewID) async throws {
        guard let terms = ReviewTerms(seats: Self.reviewers.map(\.seat), quorum: ReviewTerms.quorumDefault) else {
            return
        }
        let request = ReviewRequest(
            session: id, tenant: TenantID(literal: "default"), task: TaskID(Self.id()), attempt: 1, round: 1,
            author: "bench-author", authorOwner: "bench-authors", terms: terms, artifact: Self.artifact)
        _ = try await bus.publish(request, on: .reviewRequest(id), id: "\(id).request", tenant: request.tenant)
    }

    private func follow(_ events: AsyncStream<Event>, _ pausing: Bool) async throws -> Duration {
        var work: [AgentRole: WorkLeases.Lease] = [:]
        var lastVoteAt: ContinuousClock.Instant?
        for await event in events {
            switch event {
            case .work(let lease):
                work[lease.message.role] = lease
                guard work.count == Self.reviewers.count else { continue }
                lastVoteAt = try await vote(work, pausing)
            case .decided(let decision, let at):
                guard let lastVoteAt, decision.outcome.status == .approved, decision.votes.count == Self.reviewers.count
                else { throw ValidationError("\(decision.session) ended \(decision.outcome) before all had voted.") }
                return at - lastVoteAt
            }
        }
        throw CancellationError()
    }

    /// When the last needed vote was sent.
    private func vote(
        _ work: [AgentRole: WorkLeases.Lease], _ pausing: Bool
    ) async throws -> ContinuousClock.Instant {
        let reports = Self.reviewers.compactMap { seat, agent in work[seat.role].map { ($0, agent) } }
        try await withThrowingTaskGroup(of: Void.self) { group in
            for (lease, agent) in reports.dropLast() {
                group.addTask { try await self.report(on: lease.message, agent) }
            }
            try await group.waitForAll()
        }
        if pausing { try await Task.sleep(for: Self.pause, tolerance: .zero) }
        let sentAt = ContinuousClock.now
        if let (lease, agent) = reports.last { try await report(on: lease.message, agent) }
        leases.acknowledge(reports.map(\.0))
        return sentAt
    }

    private func report(on item: WorkItem, _ agent: AgentID) async throws {
        guard let reply = item.reply else { return }
        let report = AgentReport(
            task: item.task, attempt: item.attempt, leaseToken: item.leaseToken, agent: agent,
            body: .completed(output: Self.vote, usage: nil))
        _ = try await bus.publish(report, on: .reply(reply), id: "\(item.task).\(item.attempt)")
    }

    private static func id() -> UUID {
        UUID.version7(at: Date(), random: (.random(in: 0 ... .max), .random(in: 0 ... .max)))
    }
}
