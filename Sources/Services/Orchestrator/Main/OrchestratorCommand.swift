internal import ArgumentParser
internal import Bootstrap
internal import Logging
internal import OrchestratorService

@main
struct OrchestratorCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "orchestrator",
        abstract: "Accepts tasks over HTTP, hands them to agents, and brings each to exactly one end.",
        discussion: """
            Settings come from the environment (GOLDEN_POSTGRES_URL, GOLDEN_NATS_URL, GOLDEN_REDIS_URL,
            GOLDEN_JWT_SECRET, …); docs/operations.md lists them. Exit codes: 0 done, 1 failed, 64 wrong usage.

            Examples:
              orchestrator serve
              orchestrator migrate up
              orchestrator jetstream status
            """,
        version: Version.current,
        subcommands: [Serve.self, Migrate.self, JetStream.self, Accounts.self, Audit.self],
        defaultSubcommand: Serve.self
    )
}

struct Serve: AsyncParsableCommand {
    static let configuration = CommandConfiguration(abstract: "Runs the service until it is told to stop.")

    func run() async throws {
        try await runService("orchestrator") { settings, logger, onListening in
            try await Orchestrator(OrchestratorConfiguration(settings), logger: logger, onListening: onListening)
                .services
        }
    }
}

struct Migrate: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Brings the database's schema up or down, or shows where it stands.",
        subcommands: [Up.self, Down.self, Status.self], defaultSubcommand: Status.self
    )

    struct Up: AsyncParsableCommand {
        static let configuration = CommandConfiguration(abstract: "Applies what is missing; safe to repeat.")

        @Option(help: "The last version to apply.") var to: Int?
        @Flag(help: "One JSON object a line.") var json = false

        func run() async throws { try await Maintenance(ServiceConfiguration()).migrateUp(to: to, json: json) }
    }

    struct Down: AsyncParsableCommand {
        static let configuration = CommandConfiguration(abstract: "Takes back the newest migrations, and their data.")

        @Option(help: "How many to take back.") var steps = 1
        @Flag(help: "One JSON object a line.") var json = false

        func run() async throws { try await Maintenance(ServiceConfiguration()).migrateDown(steps: steps, json: json) }
    }

    struct Status: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Lists the migrations; exits 1 when some are missing.")

        @Flag(help: "One JSON object a line.") var json = false

        func run() async throws {
            if try await !Maintenance(ServiceConfiguration()).migrationStatus(json: json) { throw ExitCode(1) }
        }
    }
}

struct JetStream: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "jetstream", abstract: "Declares the streams and consumers, or shows how they differ.",
        subcommands: [Setup.self, Status.self], defaultSubcommand: Status.self
    )

    struct Setup: AsyncParsableCommand {
        static let configuration = CommandConfiguration(abstract: "Creates and updates them; safe to repeat.")

        @Flag(help: "One JSON object a line.") var json = false

        func run() async throws { try await Maintenance(ServiceConfiguration()).setUpJetStream(json: json) }
    }

    struct Status: AsyncParsableCommand {
        static let configuration = CommandConfiguration(abstract: "Shows drift; exits 1 when there is any.")

        @Flag(help: "Also whether somebody takes from each consumer; exits 1 where nobody does.") var taken = false
        @Flag(help: "One JSON object a line.") var json = false

        func run() async throws {
            let isSound = try await Maintenance(ServiceConfiguration()).jetStreamStatus(json: json, taken: taken)
            if !isSound { throw ExitCode(1) }
        }
    }
}

struct Accounts: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Makes the first admin.", subcommands: [Initialise.self], defaultSubcommand: Initialise.self
    )

    struct Initialise: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "init",
            abstract: "Adds the user admin and prints its password, this once; does nothing when there are users."
        )

        @Flag(help: "One JSON object.") var json = false

        func run() async throws { try await AccountMaintenance(ServiceConfiguration()).makeFirstAdmin(json: json) }
    }
}

struct Audit: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Proves or exports the log of who did what.", subcommands: [Verify.self, Export.self],
        defaultSubcommand: Verify.self
    )

    struct Verify: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Walks every chain and names the first broken entry; exits 1 when there is one.")

        @Option(help: "Only this tenant's chain; - is the installation's own.") var tenant: String?
        @Flag(help: "One JSON object a line.") var json = false

        func run() async throws {
            let isWhole = try await AuditMaintenance(ServiceConfiguration()).verify(tenant: tenant, json: json)
            if !isWhole { throw ExitCode(1) }
        }
    }

    struct Export: AsyncParsableCommand {
        static let configuration = CommandConfiguration(abstract: "Prints every entry as one JSON object a line.")

        @Option(help: "Only this tenant's chain; - is the installation's own.") var tenant: String?

        func run() async throws { try await AuditMaintenance(ServiceConfiguration()).export(tenant: tenant) }
    }
}
