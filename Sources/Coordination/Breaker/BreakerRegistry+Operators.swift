internal import Redis

/// What an operator wants of a breaker.
package struct BreakerCommand: Sendable, Hashable {
    package let name: String
    /// `automatic` resets: closes, clears every replica's window, and ignores what is under way.
    package let mode: BreakerMode
    package let reason: String
    /// Who says so.
    package let actor: String
    /// After which the breaker is automatic again; nil: never.
    package let duration: Duration?
    /// Does nothing unless the shared record is of this version.
    package let version: Int?

    package init(
        _ mode: BreakerMode, name: String, reason: String, actor: String, duration: Duration? = nil,
        version: Int? = nil
    ) {
        self.mode = mode
        self.name = name
        self.reason = reason
        self.actor = actor
        self.duration = duration
        self.version = version
    }

    package enum Result: Sendable, Hashable {
        case done(BreakerOverview)
        /// The record is of another version; nothing was changed.
        case changedMeanwhile(BreakerOverview)
        /// No replica uses a breaker of that name.
        case unknown
    }
}

/// What operators see and say.
extension BreakerRegistry {
    /// Every breaker that any replica uses, by name, with the version each was last seen at. Those of this replica are
    /// shown as of the last poll, and also while Redis is away.
    ///
    /// A breaker the fleet has not been asked about yet is shown as it stands here, at version 0.
    package func overviews() async -> [BreakerOverview] {
        var found: [String: BreakerOverview] = [:]
        for breaker in all { found[breaker.name] = breaker.overview ?? BreakerOverview(breaker.status, link.replica) }
        do throws(RedisError) {
            for name in try await index?.names() ?? [] where found[name] == nil {
                let reply = try await link.send(.look, to: name)
                found[name] = BreakerOverview(name, reply.record, now: reply.now, isCurrent: true)
            }
        } catch {
            // Redis is away: others' breakers are not seen, and this replica's say that they are not current.
            return found.values.sorted { $0.name < $1.name }
        }
        return found.values.sorted { $0.name < $1.name }
    }

    /// Carries out an operator's command for the whole fleet; this replica follows before it returns.
    ///
    /// - Throws: `unavailable` when Redis does not answer; the command may have been carried out, and may be repeated.
    package func carryOut(_ command: BreakerCommand) async throws(CoordinationError) -> BreakerCommand.Result {
        let breaker = find(command.name)
        let reply: BreakerScript.Reply
        do throws(RedisError) {
            if breaker == nil {
                guard try await index?.holds(command.name) == true else { return .unknown }
            }
            reply = try await link.send(
                .command(
                    command.mode, duration: (command.duration?.microsecondsUp ?? 0) / 1000, reason: command.reason,
                    actor: command.actor, expected: command.version.map { Int64($0) }
                ), to: command.name
            )
        } catch {
            throw CoordinationError(
                .unavailable,
                "Redis gave no answer in time, so the breaker \(command.name) may or may not have changed. Try again.",
                underlying: error
            )
        }
        learn(reply, of: command.name)
        let overview = BreakerOverview(command.name, reply.record, now: reply.now, isCurrent: true)
        return reply.answer == .stale ? .changedMeanwhile(overview) : .done(overview)
    }

    private func learn(_ reply: BreakerScript.Reply, of name: String) {
        if let breaker = find(name) {
            breaker.learn(reply)
        } else if reply.isNews {
            onNews(name, Int(reply.record.version))
        }
    }
}
