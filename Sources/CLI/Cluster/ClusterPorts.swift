/// The ports of a clustered stack's servers: all in a row, so that its record holds the first alone.
struct ClusterPorts: Sendable, Equatable {
    static let count = 13
    private static let kinds = ["nats-", "redis-", "sentinel-", "postgres-"]

    let first: Int

    var nats: [Int] { Array(first..<(first + 3)) }
    /// Where the NATS servers speak with each other.
    var routes: [Int] { Array((first + 3)..<(first + 6)) }
    var redis: [Int] { [first + 6, first + 7] }
    var sentinels: [Int] { Array((first + 8)..<(first + 11)) }
    var postgres: [Int] { [first + 11, first + 12] }
    var all: Range<Int> { first..<(first + Self.count) }
    var areFree: Bool { all.allSatisfy(Ports.isFree) }

    /// True for the name of a server's process.
    static func isServer(_ name: String) -> Bool { kinds.contains { name.hasPrefix($0) } }

    /// The port of a server's address, which always has one.
    static func port(in address: String?) -> Int { address?.split(separator: ":").last.flatMap { Int($0) } ?? 0 }
}

extension StackRecord.Ports {
    var natsServers: [Int] { cluster.map { ClusterPorts(first: $0).nats } ?? [nats] }
    var redisServers: [Int] { cluster.map { ClusterPorts(first: $0).redis } ?? [redis] }
    var postgresServers: [Int] { cluster.map { ClusterPorts(first: $0).postgres } ?? [postgres] }
}
