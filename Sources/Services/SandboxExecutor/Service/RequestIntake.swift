internal import Bootstrap
internal import Contracts
internal import Crypto
internal import FoundationEssentials
internal import MessageBus
internal import SandboxExecutorCore
internal import ServiceLifecycle
internal import Storage

/// Keeps what is asked for and lets it wait. A request is acknowledged once it is in Postgres: from there on it needs
/// no message any more.
final class RequestIntake: Service {
    static let batchMax = 64
    /// Of one tenant. What it asks for beyond that is refused, so that it holds up nobody behind it; but for its tasks'
    /// own tests.
    static let waitingMax = 1000

    private let bus: MessageBus
    private let store: SandboxStore
    private let board: RunBoard
    private let publisher: ResultPublisher

    init(bus: MessageBus, store: SandboxStore, board: RunBoard, publisher: ResultPublisher) {
        self.bus = bus
        self.store = store
        self.board = board
        self.publisher = publisher
    }

    func run() async throws {
        try await runUntilShutdown {
            try await self.bus.consume(
                .sandboxExecute, as: BusTopology.sandboxRequests, batchMax: Self.batchMax
            ) { (batch: [Received<SandboxRequest>]) in
                var settlements: [Settlement] = []
                for received in batch { settlements.append(try await self.take(received)) }
                return settlements
            }
        }
    }

    private func take(_ received: Received<SandboxRequest>) async throws -> Settlement {
        let request = received.message
        let ticket = FairQueue.Ticket(request.execution, request.tenant)
        guard let program = request.program else {
            // Stored already; whether it has ended is found out when its turn comes.
            board.add([ticket])
            return .acknowledge
        }
        let json = program.json
        let new = NewExecution(
            id: request.execution, tenant: request.tenant, caller: request.caller, task: request.task,
            attempt: request.attempt, language: program.language, request: json,
            requestHash: Array(SHA256.hash(data: Array(json.bytes))), traceparent: received.traceparent
        )
        switch try await store.admit(new, waitingMax: Self.waitingMax) {
        case .accepted: board.add([ticket])
        case .exists(let known):
            guard known.tenant == request.tenant, known.requestHash == new.requestHash else {
                return .giveUp(
                    reason: "execution_conflict", error: "Execution \(known.id) was asked for with something else.")
            }
            if known.state == .ended { try await publisher.republish(known) } else { board.add([ticket]) }
        case .full:
            let why =
                "\(Self.waitingMax) runs of \(request.tenant.text) wait; nothing was kept. "
                + "Ask again later, with another \(MessageHeader.messageID)."
            try await publisher.refuse(request, .failed("queue_full", why), traceparent: received.traceparent)
        }
        return .acknowledge
    }
}
