internal import DriverThreads
internal import Logging
internal import Synchronization

extension NATSConnection {
    /// How long the last callbacks may take after the socket is closed.
    private static let quietMax = Duration.seconds(5)
    private static let drainPoll = Duration.milliseconds(5)

    /// Refuses new work, lets what is under way finish, and releases every thread, socket and C object.
    ///
    /// Pull consumers hand back what they had not delivered; unanswered publishes end with `outcomeUnknown` at the
    /// deadline. No callback runs afterwards. Idempotent; a second caller waits for the first. A server that does not
    /// read can hold it up by `writeTimeout` beyond `limit`.
    package func shutdown(within limit: Duration) async {
        let deadline = ContinuousClock.now + max(.zero, limit)
        await withCheckedContinuation { continuation in
            guard let attachments = beginShutdown(continuation) else { return }
            startThread(name: "nats-shutdown") {
                self.drain(attachments, deadline)
                self.release()
                self.endShutdown()
            }
        }
    }

    private func drain(_ attachments: [any SessionAttachment], _ deadline: ContinuousClock.Instant) {
        for attachment in attachments { attachment.connectionCloses() }
        calls.withLock { $0.close() }
        let pause = WakeUp()
        while ContinuousClock.now < deadline, isBusy || isEnding(attachments) {
            pause.wait(until: .now + Self.drainPoll)
        }
        guard let session = keeper.session, case .connected = state else { return }
        let left = ContinuousClock.now.duration(to: deadline)
        guard left > .zero else { return }
        do throws(NATSError) {
            try session.flush(within: left)
        } catch {
            logger.warning("NATS was closed before it confirmed the last messages", metadata: ["error": "\(error)"])
        }
    }

    /// Pull consumers take in what was on its way to them, to give it back.
    private func isEnding(_ attachments: [any SessionAttachment]) -> Bool {
        guard case .connected = state else { return false }
        // Each is asked, since that is what ends it.
        return attachments.filter { $0.isEnding(.now) }.isEmpty == false
    }

    /// Without a connection there is nothing to wait for.
    private var isBusy: Bool {
        guard case .connected = state else { return false }
        return !writer.isIdle || !calls.withLock { $0.isEmpty } || keeper.session?.isDraining == true
    }

    private func release() {
        stopThreads()
        carryOut(calls.withLock { $0.endAll() })
        keeper.session?.close()
        keeper.forget()
        if !callbacks.waitUntilQuiet(.now + Self.quietMax) {
            logger.error("NATS callbacks were still running after the connection was closed")
        }
        states.closed()
    }
}
