internal import AgentWorkerCore
internal import Contracts
internal import FoundationEssentials
internal import Logging
internal import MessageBus

/// Publishes what is to be said about one attempt, in order, and does not give up before the attempt's deadline.
struct Reporter: Sendable {
    let bus: MessageBus
    let agent: AgentID
    let logger: Logger

    private static let retryBase: Duration = .milliseconds(100)
    private static let retryCap: Duration = .seconds(5)

    enum Outcome: Sendable, Equatable {
        case stored
        /// The deadline passed meanwhile, or the attempt was stopped: nobody waits for it any more.
        case tooLate
        /// This agent may not or cannot report; another might.
        case impossible
        /// This agent ends before it could say it: the work is for another.
        case interrupted
    }

    /// The outcome of an attempt.
    func report(_ body: AgentReport.Body, on lease: WorkLeases.Lease, stop: StopSignal) async -> Outcome {
        let id = "\(lease.message.task).\(lease.message.attempt)"
        return await publish(body, id: id, on: lease, stop: stop)
    }

    /// One progress report. Beyond `AgentReport.progressMax` the number says that it is not sent.
    func report(
        _ progress: StderrReader.Progress, number: Int, on lease: WorkLeases.Lease, stop: StopSignal
    ) async {
        guard number <= AgentReport.progressMax else { return }
        let data = progress.data.flatMap { $0.bytes.count <= AgentReport.progressDataBytesMax ? $0 : nil }
        let id = "\(lease.message.task).\(lease.message.attempt).p\(number)"
        let body = AgentReport.Body.progress(
            number: number, message: progress.message, data: data, usage: progress.usage
        )
        _ = await publish(body, id: id, on: lease, stop: stop)
    }

    private func publish(
        _ body: AgentReport.Body, id: String, on lease: WorkLeases.Lease, stop: StopSignal
    ) async -> Outcome {
        let item = lease.message
        var report = AgentReport(
            task: item.task, attempt: item.attempt, leaseToken: item.leaseToken, agent: agent, body: body
        )
        var attempt = 0
        while true {
            do throws(BusError) {
                let channel = item.reply.map { Channel.reply($0) } ?? .results(item.role, item.task)
                _ = try await bus.publish(
                    report, on: channel, id: id, traceparent: lease.traceparent, tenant: item.tenant
                )
                return .stored
            } catch {
                switch error.code {
                case .messageTooLarge where Self.canShrink(report.body):
                    // The server's own bound is lower than ours.
                    report = AgentReport(
                        task: item.task, attempt: item.attempt, leaseToken: item.leaseToken, agent: agent,
                        body: CommandOutcome.outputTooLarge(body.usage)
                    )
                    continue
                case .cancelled: return Self.cancelled(stop)
                case _ where error.isTransient: break
                default:
                    logger.error(
                        "a report cannot be published",
                        metadata: [
                            "id": "\(id)", "error": "\(error)",
                            "trace_id": "\(TraceContext.id(of: lease.traceparent))",
                        ])
                    return .impossible
                }
                logger.info(
                    "a report is published again",
                    metadata: [
                        "id": "\(id)", "error": "\(error)", "trace_id": "\(TraceContext.id(of: lease.traceparent))",
                    ])
            }
            if let outcome = await pause(attempt, until: item.deadline, stop: stop) { return outcome }
            attempt += 1
        }
    }

    private static func canShrink(_ body: AgentReport.Body) -> Bool {
        switch body {
        case .completed: true
        case .progress, .failed, .rejected, .escalated: false
        }
    }

    /// This agent ends. Work that was stopped before is still for nobody.
    private static func cancelled(_ stop: StopSignal) -> Outcome {
        stop.reason == nil ? .interrupted : .tooLate
    }

    /// Not nil when there is no point in trying again.
    private func pause(_ attempt: Int, until deadline: Date, stop: StopSignal) async -> Outcome? {
        var ceiling = Self.retryBase
        for _ in 0..<attempt where ceiling < Self.retryCap { ceiling *= 2 }
        do {
            try await Task.sleep(for: min(ceiling, Self.retryCap) * Double.random(in: 0.5...1))
        } catch {
            return Self.cancelled(stop)
        }
        switch stop.reason {
        case .canceled, .superseded, .shutdown: return .tooLate
        case .deadline, nil: return Date() < deadline ? nil : .tooLate
        }
    }
}
