internal import ArgumentParser
internal import Contracts

/// `golden governance show`
struct GovernanceShowCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "show", abstract: "Show one prompt: who proposed it and why, what was decided, and its text.",
        discussion: """
            EXAMPLES:
              golden governance show 12
              golden governance show 12 --json | jq -r .content > prompt.txt
            """
    )

    @OptionGroup var prompt: PromptArgument
    @OptionGroup var connection: EndpointOptions
    @OptionGroup var output: OutputOptions

    func run() async throws {
        let environment = Caller.environment
        let console = Console(environment: environment)
        let answer = try await APIClient.with(try connection.endpoint(role: "operator", environment)) { client in
            try await client.get(prompt.path).json
        }
        if output.isJSON { return console.print(answer.text) }
        console.print(try GovernanceTable.of(prompts: [answer]))
        var reader = try JSONReader(answer)
        for (name, label) in [
            ("reason", "reason"), ("review_notes", "notes"), ("next_auto_at", "blocked until"), ("sha256", "sha-256"),
        ] {
            guard let value = try reader.optionalString(name) else { continue }
            console.print("\(console.styled(label, .dim)) \(GovernanceTable.line(value))")
        }
        if var outcomes = try reader.optionalObject("outcomes") {
            var parts: [String] = []
            for name in ["completed", "failed", "rejected", "canceled", "retries"] {
                parts.append("\(try outcomes.int(name)) \(name)")
            }
            let text = "of \(try outcomes.int("tasks")) tasks \(parts.joined(separator: ", "))"
            console.print("\(console.styled("outcomes", .dim)) \(text)")
        }
        if let reviews = try reader.optionalObject("reviews").map(Self.reviews) {
            console.print("\(console.styled("reviews", .dim)) \(reviews)")
        }
        console.print("")
        for line in GovernanceTable.lines(try reader.string("content")) { console.print(GovernanceTable.line(line)) }
    }
}

extension GovernanceShowCommand {
    /// What peers said of the work that was done by it.
    static func reviews(_ reviews: JSONReader) throws -> String {
        var reviews = reviews
        let total = try reviews.int("total")
        guard total > 0 else { return "none yet" }
        var parts: [String] = []
        for name in ["approved", "rejected", "escalated"] { parts.append("\(try reviews.int(name)) \(name)") }
        let rate = try reviews.required("approval_rate").double.map { "\(Int(($0 * 100).rounded())) %" } ?? "-"
        return "of \(total) \(parts.joined(separator: ", ")); \(rate) approved, "
            + "\(try reviews.int("rework_rounds")) rounds of rework"
    }
}

/// `golden governance diff`
struct GovernanceDiffCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "diff", abstract: "Show what a prompt changes, against the version it was made from.",
        discussion: """
            EXAMPLES:
              golden governance diff 12
            """
    )

    @OptionGroup var prompt: PromptArgument
    @OptionGroup var connection: EndpointOptions
    @OptionGroup var output: OutputOptions

    func run() async throws {
        let environment = Caller.environment
        let console = Console(environment: environment)
        let answer = try await APIClient.with(try connection.endpoint(role: "operator", environment)) { client in
            try await client.get(prompt.path).json
        }
        if output.isJSON { return console.print(answer.text) }
        var reader = try JSONReader(answer)
        let lines = GovernanceTable.lines(try reader.string("diff"))
        guard !lines.isEmpty else { return console.note("It changes nothing.") }
        for line in lines {
            let shown = GovernanceTable.line(line)
            let style: Console.Style? =
                switch line.utf8.first {
                case UInt8(ascii: "+"): .green
                case UInt8(ascii: "-"): .red
                case UInt8(ascii: "@"): .cyan
                default: nil
                }
            console.print(style.map { console.styled(shown, $0) } ?? shown)
        }
    }
}
