internal import ArgumentParser
internal import Contracts

/// `golden breakers list`
struct BreakersListCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "list", abstract: "List circuit breakers: the fleet's state and who voted for opening.",
        discussion: """
            EXAMPLES:
              golden breakers list
              golden breakers list --json | jq '.circuit_breakers[] | select(.state != "closed")'
            """
    )

    @OptionGroup var connection: EndpointOptions
    @OptionGroup var output: OutputOptions

    func run() async throws {
        let environment = Caller.environment
        let console = Console(environment: environment)
        let endpoint = try connection.endpoint(role: "observer", environment)
        let answer = try await APIClient.with(endpoint) { try await $0.get("/circuit-breakers").json }
        if output.isJSON { return console.print(answer.text) }
        var reader = try JSONReader(answer)
        let breakers = try (reader.optionalArray("circuit_breakers") ?? []).map { try BreakerDocument(json: $0) }
        guard !breakers.isEmpty else { return console.note("No circuit breakers are in use.") }
        var table = Table("BREAKER", "STATE", "MODE", "SINCE", "CALLS", "FAILED", "SLOW", "VOTES", "NOTE")
        for breaker in breakers { table.add(row: breaker.row) }
        console.print(table)
        if breakers.contains(where: { !$0.isShared }) {
            console.note("Redis is away: replicas decide alone; shown is the one that answered.")
        }
        if let open = breakers.first(where: { $0.state == "open" }) {
            console.note("Next, once its cause is gone: golden breakers reset \(open.name)")
        }
    }
}

/// One circuit breaker as the API shows it.
struct BreakerDocument {
    let name: String
    let state: String
    let mode: String
    let isShared: Bool
    private let ageSeconds: Int
    private let counts: [Int]
    private let votes: String
    private let notes: [String]

    init(json: JSON) throws(JSONError) {
        var body = try JSONReader(json)
        name = try body.string("name")
        state = try body.string("state")
        mode = try body.string("mode")
        isShared = try body.optionalBool("shared") ?? true
        ageSeconds = try body.optionalInt("in_state_seconds") ?? 0
        var counts = [0, 0, 0]
        var (replicas, opening) = (0, 0)
        for vote in try body.optionalArray("votes") ?? [] {
            var vote = try JSONReader(vote)
            replicas += 1
            if try vote.optionalBool("votes_open") == true { opening += 1 }
            for (place, name) in ["calls", "failures", "slow"].enumerated() {
                counts[place] += try vote.optionalInt(name) ?? 0
            }
        }
        self.counts = counts
        votes = "\(opening)/\(replicas)"
        var notes: [String] = []
        if let seconds = try body.optionalInt("half_open_in_seconds") { notes.append("probes in \(seconds) s") }
        if let probes = try body.optionalInt("probes") { notes.append("probes under way or done: \(probes)") }
        if let seconds = try body.optionalInt("expires_in_seconds") { notes.append("automatic in \(seconds) s") }
        if let reason = try body.optionalString("reason") {
            notes.append("\(reason) (\(try body.optionalString("actor") ?? "-"))")
        }
        self.notes = notes
    }

    var row: [Table.Cell] {
        let style: Console.Style = state == "closed" ? .green : state == "open" ? .red : .yellow
        return [
            .init(name, .bold), .init(state, style), .init(mode), .init(Spans.text(seconds: Double(ageSeconds))),
        ] + counts.map { .init("\($0)") } + [.init(votes), .init(notes.isEmpty ? "-" : notes.joined(separator: "; "))]
    }
}
