internal import Bootstrap
internal import Contracts
internal import Logging
internal import MessageBus
internal import NATS
internal import ServiceLifecycle

/// Tells everyone who this agent is and what it works on: every few seconds, when asked, and when it leaves.
///
/// A class, because the lifecycle writes services into its logs as they print: by name, and without what they hold.
final class Announcer: Service {
    private let configuration: AgentWorkerConfiguration
    private let bus: MessageBus
    private let tasks: @Sendable () -> [TaskID]
    private let logger: Logger

    init(
        _ configuration: AgentWorkerConfiguration, bus: MessageBus, tasks: @escaping @Sendable () -> [TaskID],
        logger: Logger
    ) {
        self.configuration = configuration
        self.bus = bus
        self.tasks = tasks
        self.logger = logger
    }

    func run() async throws {
        try await cancelWhenGracefulShutdown {
            try await withThrowingTaskGroup(of: Void.self) { group in
                group.addTask {
                    while true {
                        self.announce(isLeaving: false)
                        try await Task.sleep(
                            for: .seconds(AgentAnnouncement.intervalSeconds), tolerance: .milliseconds(200))
                    }
                }
                group.addTask {
                    for await _ in try self.bus.subscribeRaw(.announceNow) { self.announce(isLeaving: false) }
                }
                do {
                    try await group.waitForAll()
                } catch is CancellationError {
                    // The usual end.
                }
            }
        }
        announce(isLeaving: true)
    }

    private func announce(isLeaving: Bool) {
        let announcement = AgentAnnouncement(
            agent: configuration.agent, roles: configuration.roles, slots: configuration.slots,
            owner: configuration.owner, version: Version.current, leases: tasks(), isLeaving: isLeaving
        )
        do {
            try bus.send(announcement, on: .announcements)
        } catch {
            // The next one is a few seconds away.
            logger.info("an announcement was not sent", metadata: ["error": "\(error)"])
        }
    }
}
