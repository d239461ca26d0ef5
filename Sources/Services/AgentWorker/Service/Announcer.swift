internal import Bootstrap
internal import Contracts
internal import Logging
internal import MessageBus
internal import NATS
internal import ServiceLifecycle

/// Tells everyone who this agent is and what it works on: every few seconds, when asked, and when it leaves.
struct Announcer: Service {
    let configuration: AgentWorkerConfiguration
    let bus: MessageBus
    let tasks: @Sendable () -> [TaskID]
    let logger: Logger

    func run() async throws {
        try await cancelWhenGracefulShutdown {
            try await withThrowingTaskGroup(of: Void.self) { group in
                group.addTask {
                    while true {
                        announce(isLeaving: false)
                        try await Task.sleep(for: .seconds(AgentAnnouncement.intervalSeconds), tolerance: .milliseconds(200))
                    }
                }
                group.addTask {
                    for await _ in try bus.subscribeRaw(.announceNow) { announce(isLeaving: false) }
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
