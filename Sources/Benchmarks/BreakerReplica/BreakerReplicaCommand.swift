internal import ArgumentParser
internal import Bootstrap
internal import Coordination
internal import DriverThreads
internal import Logging
internal import MessageBus
internal import NATS
internal import Redis

/// One replica of a fleet that guards one dependency, told what its calls find: for the fleet tests and the benchmark,
/// which need replicas in processes of their own.
@main
struct BreakerReplicaCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "breaker-replica",
        abstract: "One replica with one circuit breaker, driven by lines on standard input.",
        discussion: """
            GOLDEN_REDIS_URL says where the fleet's state is, GOLDEN_NATS_URL how the replicas hear of each other;
            without the first it decides alone, without the second it hears by looking once in an interval.

            Lines it takes, each answered by "<microseconds> done <line> …" by the clock all processes here share:
              fail N, succeed N    N calls one after the other; how many were let through, and how many were not
              begin N              N calls that go on
              end failure|success  ends them
              probe MS             asks without a pause until the breaker is closed, holds each probe so long; how many
              reset, open          as an operator
              state                state, who made it so, calls counted, whether the fleet is heard of
              measure N            what N decisions cost while closed, beside a lock and a look at the clock
            Every change of state is a line "<microseconds> state <state> <who>". It ends with its standard input.
            """
    )

    @Option(help: "This replica's name, unlike any other's.") var name: String
    @Option(help: "How many replicas there are.") var replicas = 3
    @Option(help: "Milliseconds an open breaker waits at first.") var openWait = 5000
    @Option(help: "Milliseconds between looks at the fleet's state.") var interval = 1000
    @Option(help: "Milliseconds for a word with Redis.") var timeout = 250

    func run() async throws {
        let settings = ServiceConfiguration()
        var logger = Logger(label: "breaker-replica")
        logger.logLevel = .error
        let redis = try settings.optionalURL("GOLDEN_REDIS_URL").map { url in
            guard let configuration = RedisConfiguration(url: url) else { throw ValidationError("GOLDEN_REDIS_URL") }
            return RedisConnection(configuration, logger: logger)
        }
        var bus: MessageBus?
        if let url = try settings.optionalURL("GOLDEN_NATS_URL") {
            let connection = try await NATSConnection.connect(
                NATSConfiguration(servers: [url], name: name), logger: logger
            )
            bus = MessageBus(
                connection: connection, configuration: BusConfiguration(ownsStreams: false), logger: logger
            )
        }
        let policy = BreakerPolicy(
            openWait: .milliseconds(openWait), openWaitMax: .milliseconds(max(openWait, 120_000)), jitterPercent: 0
        )
        let count = replicas
        let registry = BreakerRegistry(
            redis: redis, replica: name, replicas: { count }, logger: logger,
            settings: BreakerRegistry.Settings(
                policy: policy, interval: .milliseconds(interval), timeout: .milliseconds(timeout)
            ),
            onNews: { [bus] in bus?.tellOfBreaker($0, version: $1) }
        )
        let replica = try BreakerReplica(registry)
        try await withThrowingTaskGroup(of: Void.self) { group in
            if let redis { group.addTask { try await redis.run() } }
            group.addTask { try await registry.run() }
            if let bus { group.addTask { try await bus.hearOfBreakers { registry.heard($0, version: $1) } } }
            group.addTask { await replica.showChanges() }
            try await redis?.waitUntilConnected(within: .seconds(10))
            await replica.follow(Self.lines())
            group.cancelAll()
        }
    }

    /// Standard input, read on a thread of its own since reading blocks.
    private static func lines() -> AsyncStream<String> {
        // Whoever writes waits for the answers, so no more than a few lines ever wait here.
        let (lines, input) = AsyncStream.makeStream(of: String.self, bufferingPolicy: .unbounded)
        startThread(name: "lines") {
            while let line = readLine() { input.yield(line) }
            input.finish()
        }
        return lines
    }
}
