internal import DriverThreads
internal import Logging

/// The connection's one thread: connect, serve until the connection breaks, wait, connect again, until shut down.
///
/// Automatic pipelining: what callers queue while a batch is on the wire is the next batch.
struct ConnectionLoop: Sendable {
    /// Commands are put on the wire while fewer bytes than this wait for the kernel.
    private static let unsentBytesHigh = 256 * 1024

    let configuration: RedisConfiguration
    let mailbox: Mailbox
    let logger: Logger

    /// Blocks its thread until the connection is shut down.
    func run() {
        var attempt = 0
        var reported: RedisError.Code?
        while !mailbox.isClosing {
            let failure: RedisError
            var orphans: [Call] = []
            do throws(RedisError) {
                var link = try LinkHandshake(
                    configuration: configuration.server(forAttempt: attempt), mailbox: mailbox
                ).connect()
                attempt = 0
                reported = nil
                _ = mailbox.change(to: .connected)
                logger.info("Redis is connected.", metadata: endpoint)
                var pipeline = Pipeline()
                failure = serve(&link, &pipeline)
                orphans = mailbox.change(to: .disconnected(failure))
                mailbox.end(pipeline.abandon(now: .now, failure: ending(failure)))
            } catch {
                failure = error
                orphans = mailbox.change(to: .disconnected(failure))
            }
            mailbox.end(orphans.map { ($0, .failure(ending(failure))) })
            guard !mailbox.isClosing else { break }
            // Only what is new is a warning: a server that stays away for an hour is one line, not thousands.
            report(failure, at: reported == failure.code ? .debug : .warning)
            reported = failure.code
            pause(configuration.reconnect.delay(attempt: attempt))
            attempt += 1
        }
        logger.debug("The Redis connection has ended.", metadata: endpoint)
        mailbox.finish()
    }

    /// Carries commands and replies until the connection ends; answers why.
    private func serve(_ link: inout Link, _ pipeline: inout Pipeline) -> RedisError {
        var replies: [ReplyReader.Parsed] = []
        do throws(RedisError) {
            while true {
                let intake = mailbox.take()
                pipeline.accept(intake.calls)
                try send(&link, &pipeline)
                if let closing = intake.closingDeadline, pipeline.isIdle || closing <= .now { return .closed }
                let ready = link.socket.wait(
                    read: true, write: link.unsentBytes > 0, wakeUp: mailbox.wakeUp,
                    until: Self.earlier(pipeline.earliestDeadline, intake.closingDeadline)
                )
                // Replies are read before deadlines are looked at: a reply that is here is never called late.
                let end = ready.readable ? link.receive(into: &replies) : nil
                try deliver(&replies, &pipeline)
                if let end { return end }
                var endings: [Pipeline.Ending] = []
                let late = pipeline.expire(now: .now, endings: &endings)
                mailbox.end(endings)
                // After a timeout replies would pair with the wrong commands: only a new connection is sound.
                if late { return .timedOut }
            }
        } catch {
            return error
        }
    }

    private func send(_ link: inout Link, _ pipeline: inout Pipeline) throws(RedisError) {
        var endings: [Pipeline.Ending] = []
        defer { mailbox.end(endings) }
        let now = ContinuousClock.now
        repeat {
            while link.unsentBytes < Self.unsentBytesHigh,
                let call = pipeline.nextToSend(now: now, endings: &endings)
            {
                try link.write(call.bytes)
            }
            try link.flush()
        } while link.unsentBytes == 0 && pipeline.hasWaiting
    }

    private func deliver(_ replies: inout [ReplyReader.Parsed], _ pipeline: inout Pipeline) throws(RedisError) {
        guard !replies.isEmpty else { return }
        var endings: [Pipeline.Ending] = []
        var demoted = false
        defer {
            mailbox.end(endings)
            replies.removeAll(keepingCapacity: true)
        }
        for reply in replies {
            endings.append(try pipeline.pair(reply))
            if case .failure(let error) = reply, error.code == .server("READONLY") { demoted = true }
        }
        // After a failover this connection would answer READONLY for ever; the name may lead to the new primary.
        if demoted { throw RedisError(.disconnected, "This Redis server has become a read-only replica.") }
    }

    private func pause(_ duration: Duration) {
        let end = ContinuousClock.now + duration
        while !mailbox.isClosing, ContinuousClock.now < end { mailbox.wakeUp.wait(until: end) }
    }

    private func ending(_ failure: RedisError) -> RedisError {
        failure.code == .closed ? failure : .lost(failure)
    }

    private func report(_ failure: RedisError, at level: Logger.Level) {
        var metadata = endpoint
        metadata["code"] = "\(failure.code.rawValue)"
        metadata["reason"] = "\(failure.message)"
        logger.log(level: level, "Redis is not connected; attempts go on.", metadata: metadata)
    }

    private var endpoint: Logger.Metadata {
        ["host": "\(configuration.host)", "port": "\(configuration.port)"]
    }

    private static func earlier(
        _ one: ContinuousClock.Instant?, _ other: ContinuousClock.Instant?
    ) -> ContinuousClock.Instant? {
        guard let one, let other else { return one ?? other }
        return min(one, other)
    }
}
