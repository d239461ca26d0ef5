internal import ArgumentParser
internal import Contracts

/// What every command has that lists something: a page of it, as a table for people or as it came for scripts.
struct ListPage: ParsableArguments {
    @OptionGroup var output: OutputOptions

    @Option(help: "How many, 1 to 200.")
    var limit = 50

    @Option(help: "Where the page before ended.")
    var cursor: String?

    func validate() throws {
        guard (1...200).contains(limit) else { throw ValidationError("--limit must be from 1 to 200.") }
    }

    /// Gets one page and shows it.
    ///
    /// - Parameters:
    ///   - filters: parameters of the query besides the page's; absent values are left out.
    ///   - field: the answer's field that holds the list.
    ///   - none: what is said of an empty list.
    ///   - table: draws the elements; called for people only, and not for an empty list.
    func show(
        _ path: String, _ filters: [(String, String?)] = [], field: String, from endpoint: Endpoint, none: String,
        table: ([JSON]) throws -> Table
    ) async throws {
        let console = Console(environment: Caller.environment)
        let query = QueryString.text(filters + [("limit", "\(limit)"), ("cursor", cursor)])
        let answer = try await APIClient.with(endpoint) { client in try await client.get(path + query).json }
        if output.isJSON { return console.print(answer.text) }
        var reader = try JSONReader(answer)
        let found = try reader.optionalArray(field) ?? []
        guard !found.isEmpty else { return console.note(none) }
        console.print(try table(found))
        if let next = try reader.optionalString("next_cursor") { console.note("More: add --cursor \(next)") }
    }
}
