internal import Logging
internal import MessageBus
internal import NATS
internal import ReleaseGateCore

/// Asks NATS whether its streams and consumers are as declared, and who takes from them.
struct NATSProbe {
    private static let patience = Duration.seconds(1)

    let settings: BusSettings
    let isAfterDeploy: Bool
    let logger: Logger

    func ask() async -> PreflightFacts.Probe<PreflightFacts.NATS> {
        let connection: NATSConnection
        do { connection = try await NATSConnection.connect(settings.connection, logger: logger) } catch {
            return .unreachable("NATS did not answer: \(error)")
        }
        var facts = PreflightFacts.NATS()
        facts.isEncrypted =
            settings.connection.tls != nil || settings.connection.servers.allSatisfy { $0.hasPrefix("tls://") }
        facts.payloadBytesMax = connection.maxPayloadBytes
        facts.payloadBytesWanted = BusTopology.messageBytesMax
        facts.streamsDeclared = BusTopology.streams.count
        facts.consumersDeclared = BusTopology.consumers.count
        facts.replicas = settings.streams.replicas
        do { try await compare(connection, &facts) } catch { facts.jetStreamFault = "\(error)" }
        await connection.shutdown(within: Self.patience)
        facts.asksForPassword = await asksForPassword()
        return .answered(facts)
    }

    private func compare(
        _ connection: NATSConnection, _ facts: inout PreflightFacts.NATS
    ) async throws(BusError) {
        let bus = MessageBus(connection: connection, configuration: settings.streams, logger: logger)
        facts.drift = try await bus.plan().map { change in
            PreflightFacts.NATS.Drift(
                object: change.object, isMissing: change.kind == .create,
                differences: change.differences.map(\.description).joined(separator: ", "))
        }
        guard isAfterDeploy else { return }
        for consumer in BusTopology.consumers {
            let waiting = try await bus.backlog(of: consumer)?.waiting
            facts.consumers.append(.init(name: consumer.name, pullsWaiting: waiting))
        }
    }

    private func asksForPassword() async -> Bool? {
        var open = settings.connection
        open.credentials = .none
        do {
            let connection = try await NATSConnection.connect(open, logger: logger)
            await connection.shutdown(within: Self.patience)
            return false
        } catch {
            return error.code == .authenticationFailed ? true : nil
        }
    }
}
