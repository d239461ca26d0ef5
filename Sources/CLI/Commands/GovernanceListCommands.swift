internal import ArgumentParser
internal import Contracts

/// A page of prompts.
struct PromptListing: ParsableArguments {
    @OptionGroup var connection: EndpointOptions
    @OptionGroup var output: OutputOptions

    @Option(help: "Only of this role.") var role: String?
    @Option(help: "How many, 1 to 200.") var limit = 50
    @Option(help: "Where the page before ended.") var cursor: String?

    func validate() throws {
        guard (1...200).contains(limit) else { throw ValidationError("--limit must be from 1 to 200.") }
    }

    func show(status: String?, none: String) async throws {
        let environment = Caller.environment
        let console = Console(environment: environment)
        let query = QueryString.text([
            ("role", role), ("status", status), ("limit", "\(limit)"), ("cursor", cursor),
        ])
        let answer = try await APIClient.with(try connection.endpoint(role: "operator", environment)) { client in
            try await client.get("/governance/prompts\(query)").json
        }
        if output.isJSON { return console.print(answer.text) }
        var reader = try JSONReader(answer)
        let prompts = try reader.optionalArray("prompts") ?? []
        guard !prompts.isEmpty else { return console.note(none) }
        console.print(try GovernanceTable.of(prompts: prompts))
        if let next = try reader.optionalString("next_cursor") { console.note("More: add --cursor \(next)") }
    }
}

/// `golden governance list`
struct GovernanceListCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "list", abstract: "List proposed prompts, the newest first.",
        discussion: """
            EXAMPLES:
              golden governance list --role developer
              golden governance list --status blocked
            """
    )

    @OptionGroup var listing: PromptListing

    @Option(
        help: "Only with this status: auto_approved, pending_review, blocked, approved or rejected.",
        completion: .list(PromptStatus.allCases.map(\.rawValue)))
    var status: String?

    func validate() throws {
        if let status, PromptStatus(rawValue: status) == nil {
            let known = PromptStatus.allCases.map(\.rawValue).joined(separator: ", ")
            throw ValidationError("--status must be one of \(known).")
        }
    }

    func run() async throws { try await listing.show(status: status, none: "No prompts.") }
}

/// `golden governance pending`
struct GovernancePendingCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "pending", abstract: "List the prompts that wait for a human."
    )

    @OptionGroup var listing: PromptListing

    func run() async throws {
        try await listing.show(status: PromptStatus.pendingReview.rawValue, none: "Nothing waits for a human.")
    }
}
