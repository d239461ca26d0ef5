internal import ArgumentParser
internal import Contracts
internal import FoundationEssentials

/// `golden submit`
struct SubmitCommand: AsyncParsableCommand {
    /// How often a submission is sent when no answer comes; the key makes them one task.
    static let triesMax = 4
    static let retryAfter: Duration = .milliseconds(500)

    static let configuration = CommandConfiguration(
        commandName: "submit",
        abstract: "Submit a task; wait for it or watch it.",
        discussion: """
            The file holds the body of POST /tasks; only input is worth giving, the rest has defaults:
              {"name": "nightly logs", "role": "log-analyst", "priority": 7, "timeout_seconds": 120,
               "max_attempts": 3, "budget_tokens": 5000, "labels": {"team": "web"}, "input": {"path": "access.log"}}

            EXAMPLES:
              golden submit task.json                      print the task and return
              golden submit task.json --follow             watch it to the end
              golden submit task.json --wait --json        the ended task as JSON
              echo '{"input": {"hello": "world"}}' | golden submit - --follow

            With --follow --json each event is one line and the last line is the ended task.
            """
    )

    @Argument(help: ArgumentHelp("A JSON file, or - for standard input.", valueName: "file"), completion: .file())
    var file: String

    @OptionGroup var connection: EndpointOptions
    @OptionGroup var output: OutputOptions

    @Flag(help: "Return when the task has ended, with its result.")
    var wait = false

    @Flag(help: "Show each event live until the task has ended, then its result.")
    var follow = false

    @Option(help: ArgumentHelp("How long to wait at most: 90s, 15m, 2h.", valueName: "time"))
    var timeout: String?

    @Option(help: ArgumentHelp("Hand the task to this role.", valueName: "role"))
    var role: String?

    @Option(help: ArgumentHelp("Name the task.", valueName: "name"))
    var name: String?

    @Option(help: ArgumentHelp("What its agents may use, in tokens.", valueName: "tokens"))
    var budget: Int?

    @Option(help: ArgumentHelp("Your own Idempotency-Key; one is made otherwise.", valueName: "key"))
    var key: String?

    func validate() throws {
        if let timeout, Spans.seconds(timeout) == nil {
            throw ValidationError("--timeout must be such as 90s, 15m or 2h, and at most ten years.")
        }
        if timeout != nil, !wait, !follow { throw ValidationError("--timeout goes with --wait or --follow.") }
    }

    func run() async throws {
        let environment = Caller.environment
        let console = Console(environment: environment)
        let body = try SubmissionFile(path: file).body(role: role, name: name, budget: budget)
        let endpoint = try connection.endpoint(environment)
        let key = key ?? "\(UUID())".lowercased()
        let status = try await APIClient.with(endpoint) { client in
            let task = try await submit(body, key, client, console)
            if !output.isJSON {
                let name = task.name.map { " “\(Table.printable($0))”" } ?? ""
                console.print("Accepted \(console.styled("\(task.id)", .bold))\(name), Idempotency-Key \(key)")
            }
            guard wait || follow else {
                if output.isJSON { console.print(task.json.text) } else { hint(task, console) }
                return ExitStatus.success
            }
            let waiting = TaskWaiting(client: client, task: task.id, console: console)
            return try await waiting.run(
                showsEvents: follow, isJSON: output.isJSON, atMostSeconds: timeout.flatMap(Spans.seconds)
            )
        }
        if status != .success { throw status }
    }

    private func submit(
        _ body: JSON, _ key: String, _ client: APIClient, _ console: Console
    ) async throws -> TaskDocument {
        var wait = Self.retryAfter
        for attempt in 1... {
            do {
                return try TaskDocument(json: try await client.post("/tasks", body, idempotencyKey: key).json)
            } catch let error as CLIError where error.isPassing && attempt < Self.triesMax {
                console.note("Trying again with the same key: \(error.message)")
                try await Task.sleep(for: wait)
                wait *= 2
            } catch let error as CLIError where error.isPassing {
                throw CLIError(
                    error.code, error.message,
                    kept: "If the API took the task, the same command with --key \(key) finds it again.",
                    next: error.next, underlying: error.underlying, isTransient: error.isTransient
                )
            }
        }
        preconditionFailure("The loop above returns or throws.")
    }

    private func hint(_ task: TaskDocument, _ console: Console) {
        console.note("Next: golden tasks follow \(task.id) · golden tasks show \(task.id)")
    }
}
