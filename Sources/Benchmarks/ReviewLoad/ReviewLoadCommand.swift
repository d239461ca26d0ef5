internal import ArgumentParser
internal import Bootstrap
internal import Contracts
internal import DriverThreads
internal import Glibc
internal import Logging
internal import MessageBus
internal import NATS

/// Asks for reviews and reviews them, over NATS alone as orchestrators and reviewers do, for `scripts/bench review`.
@main
struct ReviewLoadCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "review-load",
        abstract: "Five reviewers and whoever asks for reviews, in one process, driven by lines on standard input.",
        discussion: """
            GOLDEN_NATS_URL says where the hubs are. It says "ready" once it takes work. Each line is answered by one
            JSON object; times are in microseconds, consensus from sending the last needed vote to hearing the decision:
              one            one session, its last needed vote when all is quiet: {"consensus"}
              flow N C       N sessions, C at a time: {"sessions", "microseconds", "p50", "p99"}
            It ends with its standard input.
            """
    )

    func run() async throws {
        let settings = ServiceConfiguration()
        var logger = Logger(label: "review-load")
        logger.logLevel = .warning
        let connection = try await NATSConnection.connect(
            NATSConfiguration(servers: [try settings.url("GOLDEN_NATS_URL")], name: "review-load"), logger: logger)
        let bus = MessageBus(
            connection: connection, configuration: BusConfiguration(ownsStreams: false), logger: logger)
        let load = try await ReviewLoad(bus)
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { try await load.announceRegularly() }
            group.addTask { try await load.takeWork() }
            group.addTask { await load.hearDecisions() }
            Self.say("ready")
            for await line in Self.lines() { Self.say(try await Self.answer(line, load).text) }
            group.cancelAll()
        }
        await connection.shutdown(within: .seconds(1))
    }

    private static func answer(_ line: String, _ load: ReviewLoad) async throws -> JSON {
        let words = line.split(separator: " ")
        if words == ["one"] {
            let consensus = try await load.review(pausing: true)
            return JSONWriter.object { $0.field("consensus", Int(consensus / .microseconds(1))) }
        }
        guard words.count == 3, words[0] == "flow", let count = Int(words[1]), let atOnce = Int(words[2]),
            count > 0, (1...ReviewLoad.atOnceMax).contains(atOnce)
        else { throw ValidationError("There is no line \(line)") }
        return try await load.flow(count, atOnce: atOnce)
    }

    private static func say(_ line: String) {
        let line = Array("\(line)\n".utf8)
        // Whoever does not listen any more has no use for it.
        _ = line.withUnsafeBytes { unsafe write(1, $0.baseAddress, $0.count) }
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
