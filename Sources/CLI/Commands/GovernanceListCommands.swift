internal import ArgumentParser
internal import Contracts

/// A page of prompts.
struct PromptListing: ParsableArguments {
    @OptionGroup var connection: EndpointOptions
    @OptionGroup var page: ListPage

    @Option(help: "Only of this role.") var role: String?

    func show(status: String?, none: String) async throws {
        try await page.show(
            "/governance/prompts", [("role", role), ("status", status)], field: "prompts",
            from: try connection.endpoint(role: "operator", Caller.environment), none: none,
            table: GovernanceTable.of(prompts:)
        )
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
