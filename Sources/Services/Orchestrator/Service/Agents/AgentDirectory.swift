internal import Bootstrap
internal import Contracts
internal import FoundationEssentials
internal import Logging
internal import MessageBus
internal import NATS
internal import ServiceLifecycle
internal import Storage
internal import Synchronization

/// Who is online: each replica listens to the announcements and forgets who falls silent.
final class AgentDirectory: Service {
    /// Agents kept at most; beyond that the longest silent ones are forgotten first.
    static let agentsMax = 10_000

    private static let expiry: Duration = .seconds(AgentAnnouncement.expirySeconds)

    struct Entry: Sendable {
        let announcement: AgentAnnouncement
        /// By the steady clock: nobody falls silent because a machine's time was set.
        let heardAt: ContinuousClock.Instant

        /// When that was, by a clock that says `now` at this moment.
        func heard(by now: Date) -> Date {
            now.addingTimeInterval((heardAt - ContinuousClock.now) / .seconds(1))
        }
    }

    private let bus: MessageBus
    private let logger: Logger
    private let entries = Mutex<[AgentID: Entry]>([:])

    init(bus: MessageBus, logger: Logger) {
        self.bus = bus
        self.logger = logger
    }

    func run() async throws {
        try await runUntilShutdown {
            try await withThrowingTaskGroup(of: Void.self) { group in
                let announcements = try self.bus.subscribe(.announcements)
                group.addTask { await self.ask() }
                for try await announcement in announcements { self.hear(announcement, at: .now) }
                group.cancelAll()
            }
        }
    }

    /// Asks who is there whenever the bus is: nobody was heard while it was away.
    private func ask() async {
        for await _ in bus.connectionEvents() where bus.isConnected {
            do { try bus.sendRaw(.announceNow) } catch {
                logger.debug("the agents were not asked who is there", metadata: ["error": "\(error)"])
            }
        }
    }

    func hear(_ announcement: AgentAnnouncement, at now: ContinuousClock.Instant) {
        entries.withLock { entries in
            if announcement.isLeaving {
                entries[announcement.agent] = nil
                return
            }
            entries[announcement.agent] = Entry(announcement: announcement, heardAt: now)
            guard entries.count > Self.agentsMax else { return }
            if let oldest = entries.min(by: { $0.value.heardAt < $1.value.heardAt }) { entries[oldest.key] = nil }
        }
    }

    /// The agents heard of lately.
    func online(at now: ContinuousClock.Instant = .now) -> [Entry] {
        entries.withLock { entries in
            for (agent, entry) in entries where now - entry.heardAt > Self.expiry { entries[agent] = nil }
            return Array(entries.values)
        }
    }

    /// Slots by role; an agent of several roles counts fully for each, since it fills its slots from any of them.
    func slots(at now: ContinuousClock.Instant = .now) -> [AgentRole: Int] {
        var slots: [AgentRole: Int] = [:]
        for entry in online(at: now) {
            for role in entry.announcement.roles { slots[role, default: 0] += entry.announcement.slots }
        }
        return slots
    }

    /// Who works on a task, as far as the last announcements tell.
    func holder(of task: TaskID, at now: ContinuousClock.Instant = .now) -> AgentID? {
        online(at: now).first { $0.announcement.leases.contains(task) }?.announcement.agent
    }

    /// Who runs the agent; nil while it is not online.
    func owner(of agent: AgentID, at now: ContinuousClock.Instant = .now) -> String? {
        entries.withLock { entries in
            entries[agent].flatMap { now - $0.heardAt > Self.expiry ? nil : $0.announcement.owner }
        }
    }

    /// Every task that some agent says it works on.
    func leases(at now: ContinuousClock.Instant = .now) -> Set<TaskID> {
        Set(online(at: now).flatMap(\.announcement.leases))
    }
}
