package import Redis

/// One member of a presence board.
package struct AgentPresence: Sendable, Hashable {
    package let id: String
    package let body: [UInt8]

    package init(id: String, body: [UInt8]) {
        self.id = id
        self.body = body
    }
}

/// Who is there now: members announce themselves again and again, and vanish when they stop.
///
/// Two Redis keys of one slot: a sorted set of ids by the time they expire (by the server's clock), and a hash of their
/// bodies. What is lost with Redis comes back with the next announcements. Reading a large board takes time on its
/// connection: use another one than the request path's.
package struct PresenceBoard: Sendable {
    /// The bounds of a board.
    package struct Limits: Sendable {
        package var members: Int
        package var idBytes: Int
        package var bodyBytes: Int
        /// Of one command to Redis.
        package var timeout: Duration

        package init(
            members: Int = 10_000, idBytes: Int = 256, bodyBytes: Int = 16 * 1024, timeout: Duration = .seconds(1)
        ) {
            self.members = members
            self.idBytes = idBytes
            self.bodyBytes = bodyBytes
            self.timeout = timeout
        }
    }

    /// Bodies are fetched this many at a time, so that no reply grows with the board.
    static let page = 200

    private let redis: RedisConnection
    private let limits: Limits
    private let keys: [String]

    /// - Parameter name: boards of different names know nothing of each other.
    package init(_ name: String, redis: RedisConnection, limits: Limits = Limits()) {
        self.redis = redis
        self.limits = limits
        keys = ["until", "body"].map { RedisKey.tagged("golden:presence", tag: name, $0) }
    }

    /// Puts a member on the board, or keeps it there, for `ttl` from now; its body replaces the one before.
    ///
    /// - Throws: `invalidEntry`, `full` (the members there keep their places), or `unavailable`.
    package func announce(id: String, body: [UInt8], ttl: Duration) async throws(CoordinationError) {
        guard (1...limits.idBytes).contains(id.utf8.count), body.count <= limits.bodyBytes, ttl > .zero else {
            throw CoordinationError(
                .invalidEntry,
                "A member needs an id of 1 to \(limits.idBytes) bytes, at most \(limits.bodyBytes) of body, and a ttl."
            )
        }
        let milliseconds = max(1, min(ttl, .seconds(86400)).microsecondsUp / 1000)
        let reply = try await evaluate(
            PresenceScripts.announce, [.text(id), .bytes(body), .integer(milliseconds), RedisArgument(limits.members)]
        )
        guard reply == .integer(1) else {
            throw CoordinationError(
                .full, "The board holds \(limits.members) members, its bound; this one was not added."
            )
        }
    }

    /// Takes a member off the board at once; one that is not there is no error.
    ///
    /// - Throws: `unavailable`.
    package func withdraw(id: String) async throws(CoordinationError) {
        _ = try await evaluate(PresenceScripts.withdraw, [.text(id)])
    }

    /// Everybody who is there, the one that expires first being first. Members that come or go meanwhile may or may
    /// not be among them; nobody is there twice.
    ///
    /// - Throws: `unavailable`.
    package func all() async throws(CoordinationError) -> [AgentPresence] {
        let reply = try await evaluate(PresenceScripts.members, [RedisArgument(limits.members)])
        let ids = (reply.array ?? []).compactMap(\.bytes)
        var members: [AgentPresence] = []
        for start in stride(from: 0, to: ids.count, by: Self.page) {
            let page = ids[start..<min(start + Self.page, ids.count)]
            let bodies = try await bodies(of: page)
            for (id, body) in zip(page, bodies) {
                guard let body = body.bytes else { continue }
                members.append(AgentPresence(id: String(decoding: id, as: UTF8.self), body: body))
            }
        }
        return members
    }

    private func bodies(of ids: ArraySlice<[UInt8]>) async throws(CoordinationError) -> [RedisReply] {
        do throws(RedisError) {
            let command = ["HMGET", .text(keys[1])] + ids.map { RedisArgument.bytes($0) }
            return try await redis.command(command, timeout: limits.timeout).array ?? []
        } catch {
            throw Self.unavailable(error)
        }
    }

    private func evaluate(
        _ script: RedisScript, _ arguments: [RedisArgument]
    ) async throws(CoordinationError) -> RedisReply {
        do throws(RedisError) {
            return try await redis.evaluate(script, keys: keys, arguments: arguments, timeout: limits.timeout)
        } catch {
            throw Self.unavailable(error)
        }
    }

    private static func unavailable(_ error: RedisError) -> CoordinationError {
        CoordinationError(
            .unavailable, "The presence board cannot be reached; what is on it stays until it expires.",
            underlying: error
        )
    }
}
