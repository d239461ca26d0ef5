internal import ArgumentParser
internal import Contracts
internal import FoundationEssentials

/// `golden upgrade`
struct UpgradeCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "upgrade",
        abstract: "Replace the running stack's services by another build's, without a request lost.",
        discussion: """
            First the next build's migrations and streams, then each service: its next process is started beside it, and
            the one before is stopped when the next is ready. Migrations must leave the build before able to work. When
            a process does not become ready, those already replaced go back to the build before; the schema stays.
            The stores, and golden's own supervisor, are replaced by golden down and golden up.

            EXAMPLES:
              .build/next/golden upgrade                  to the programs beside this one
              golden upgrade --programs /opt/golden-0.2.0/bin
            """
    )

    @OptionGroup var data: FolderOptions
    @OptionGroup var output: OutputOptions

    @Option(
        help: ArgumentHelp("The folder of the next build's programs; else this program's own.", valueName: "dir"))
    var programs: String?

    func run() async throws {
        let environment = Caller.environment
        let folder = data.folder(environment)
        let console = Console(environment: environment)
        try folder.requireOwner()
        guard let record = try StackRecord.load(from: folder), record.state == .ready,
            let supervisor = record.supervisor, supervisor.isRunning
        else {
            throw CLIError(
                .stackNotRunning, "No stack is ready in \(folder.path).",
                next: "golden status\(folder.option) shows what there is."
            )
        }
        guard let lock = try FolderLock.acquire(folder.upgradeLock) else {
            throw CLIError(.stackRunning, "Another upgrade of this stack is under way.", kept: "It goes on.")
        }
        let request = try request(environment)
        try request.save(to: folder)
        let started = ContinuousClock.now
        let upgraded = try await follow(
            request, supervisor, folder, UpView(console: console, folder: folder, isJSON: output.isJSON))
        _ = consume lock
        if output.isJSON { return console.print(upgraded.json.text) }
        let seconds = Double((ContinuousClock.now - started) / .milliseconds(1)) / 1000
        console.print(console.styled("Upgraded", .green) + " in \(Spans.text(seconds: seconds)).")
        console.print("Next: golden status\(folder.option) shows each process and its version.")
    }

    private func request(_ environment: [String: String]) throws(CLIError) -> UpgradeRequest {
        var environment = environment
        if let programs { environment["GOLDEN_BIN"] = StackFolder(programs).path }
        let orchestrator = try Sibling.path("orchestrator", environment: environment)
        for program in ["peer-hub", "supervisor", "dlq-worker", "agent-worker"] {
            _ = try Sibling.path(program, environment: environment)
        }
        let folder = Sibling.parent(of: orchestrator)
        return UpgradeRequest(
            id: "\(UUID())", programs: folder,
            migrations: try Sibling.migrations(environment: environment, near: folder)
        )
    }

    /// Shows what the supervisor reports until it is done, and returns what runs then.
    private func follow(
        _ request: UpgradeRequest, _ supervisor: ProcessIdentity, _ folder: StackFolder, _ view: UpView
    ) async throws -> StackRecord {
        let answered = ContinuousClock.now + Self.answerMax
        var seen: Int?
        while true {
            let isRunning = supervisor.isRunning
            if let events = UpgradeReport.events(of: request, in: folder, after: seen ?? 0) {
                seen = (seen ?? 0) + events.count
                for event in events {
                    if case .failed(let error) = event { throw error }
                    if case .ready(let record) = event { return record }
                    view.show(event, isForeground: false)
                }
            }
            guard isRunning else {
                throw CLIError(
                    .stackNotRunning, "The stack ended during the upgrade.",
                    kept: "Its data, with the next build's migrations where they were applied already.",
                    next: "golden up starts it again, with the programs beside the golden that you call"
                )
            }
            if seen == nil, ContinuousClock.now > answered {
                try StackFolder.remove(folder.upgradeRequest)
                throw CLIError(
                    .processFailed, "The stack's supervisor does not answer; a build before this feature started it.",
                    kept: "Nothing was changed.", next: "golden down, then golden up with the next build."
                )
            }
            try await Task.sleep(for: Self.pollEvery)
        }
    }

    private static let answerMax: Duration = .seconds(30)
    private static let pollEvery: Duration = .milliseconds(100)
}
