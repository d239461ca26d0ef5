extension PreflightRules {
    private static let redisVersionMin = 7
    /// Keys that live until they are removed: fleet states of breakers, one a dependency. More are a leak.
    private static let lastingKeysMax = 1000
    /// The customer's policy, and those that spare what has no end.
    private static let memoryPolicies = ["allkeys-lru", "allkeys-lfu"]

    static func redis(_ facts: PreflightFacts) -> [PreflightFinding] {
        guard case .answered(let redis) = facts.redis else {
            return [absence(facts.redis, .redisReached, ["C19"], setting: "GOLDEN_REDIS_URL")].compactMap { $0 }
        }
        return [
            version(redis), encryption(redis, facts),
            asked(
                .redisPassword, redis.asksForPassword, "Redis",
                next: "requirepass or an ACL with a password for every user; then change the URL's secret."),
            appendOnly(redis), memory(redis), expiry(redis),
        ]
    }

    private static func version(_ redis: PreflightFacts.Redis) -> PreflightFinding {
        let text = "Redis \(redis.version)"
        if !redis.isMaster {
            return PreflightFinding(
                .redisVersion, .failed, ["C19"], "\(text) is a replica, which takes no writes",
                next: "Name the master, or all servers in one URL.")
        }
        let major = redis.version.split(separator: ".").first.flatMap { Int($0) } ?? 0
        let isKnown = major >= redisVersionMin
        return PreflightFinding(
            .redisVersion, isKnown ? .ok : .failed, ["C19"], text,
            next: isKnown ? nil : "Redis 7 and later are supported.")
    }

    private static func encryption(_ redis: PreflightFacts.Redis, _ facts: PreflightFacts) -> PreflightFinding {
        redis.isEncrypted
            ? PreflightFinding(.redisTLS, .ok, ["E2"], "encrypted, and the server's name is verified")
            : PreflightFinding(
                .redisTLS, required(facts), ["E2"], "the connection is not encrypted",
                next: "tls-port at the server, rediss:// in the URL, GOLDEN_REDIS_CA for its authority.")
    }

    private static func appendOnly(_ redis: PreflightFacts.Redis) -> PreflightFinding {
        let requirements = ["E10"]
        guard redis.isAppendOnly else {
            return PreflightFinding(
                .redisAppendOnly, .failed, requirements, "appendonly is off: a restart forgets all limits and breakers",
                next: "appendonly yes, appendfsync everysec")
        }
        switch redis.fsync {
        case "everysec", "always":
            return PreflightFinding(
                .redisAppendOnly, .ok, requirements, "appendonly is on, synced \(redis.fsync ?? "")")
        case nil:
            return PreflightFinding(
                .redisAppendOnly, .warning, requirements, "appendonly is on; how it is synced the server does not tell",
                next: "Ask whoever runs it for appendfsync.")
        case let other?:
            return PreflightFinding(
                .redisAppendOnly, .failed, requirements, "appendonly is on, and appendfsync is \(other)",
                next: "appendfsync everysec")
        }
    }

    private static func memory(_ redis: PreflightFacts.Redis) -> PreflightFinding {
        let next = "maxmemory to what the machine can spare, maxmemory-policy allkeys-lru"
        guard redis.memoryMaxBytes > 0 else {
            return PreflightFinding(.redisMemory, .failed, ["E10"], "maxmemory is not bounded", next: next)
        }
        let found = "maxmemory \(redis.memoryMaxBytes >> 20) MiB, policy \(redis.memoryPolicy)"
        if redis.memoryPolicy == "noeviction" {
            return PreflightFinding(
                .redisMemory, .failed, ["E10"], "\(found): a full Redis refuses to count, and limits fall back",
                next: next)
        }
        let isAsked = memoryPolicies.contains(redis.memoryPolicy)
        return PreflightFinding(.redisMemory, isAsked ? .ok : .warning, ["E10"], found, next: isAsked ? nil : next)
    }

    private static func expiry(_ redis: PreflightFacts.Redis) -> PreflightFinding {
        guard redis.expires else {
            return PreflightFinding(
                .redisExpiry, .failed, ["E10"], "a key was there after its time to live",
                next: "Look at the server's clock and at DEBUG SET-ACTIVE-EXPIRE.")
        }
        let lasting = redis.keys - redis.keysExpiring
        let isBounded = lasting <= lastingKeysMax
        return PreflightFinding(
            .redisExpiry, isBounded ? .ok : .warning, ["E10"],
            "keys end with their time to live; \(lasting) of \(redis.keys) have none",
            next: isBounded ? nil : "redis-cli --scan: find who writes keys without an end.")
    }
}
