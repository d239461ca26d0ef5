internal import Contracts

/// Reads an event stream of the API to its end, over as many connections as it takes.
struct EventFollower: Sendable {
    static let backoffFirst: Duration = .milliseconds(250)
    static let backoffMax: Duration = .seconds(5)
    /// When a stream was lost and none could be opened for this long, following ends with an error.
    static let outageMax: Duration = .seconds(120)

    let client: APIClient
    /// The stream's, without a query.
    let path: String
    var outageMax = Self.outageMax
    /// That the API says that nothing more will come ends the reading as well; otherwise it is an error.
    var mayEndSilently = false

    /// - Parameters:
    ///   - event: is given each event and the number to go on after when the connection is lost, which it moves up.
    ///     False ends the reading.
    ///   - outage: hears of each connection that was lost or could not be made.
    /// - Throws: what `event` throws, and `CLIError` when the API refuses or stays away.
    func run(
        _ event: (ServerSentEventParser.Event, _ after: inout Int) async throws -> Bool,
        outage: (CLIError) async -> Void
    ) async throws {
        var after = 0
        var isOver = false
        var backoff = Self.backoffFirst
        // Since the loss, not since the last event: a stream may be quiet for hours.
        var outageSince: ContinuousClock.Instant?
        while true {
            do {
                let isThere = try await client.events(
                    at: path, after: after, opened: { outageSince = nil }
                ) { received in
                    let before = after
                    isOver = try await !event(received, &after)
                    if after > before { backoff = Self.backoffFirst }
                    return !isOver
                }
                if isOver || (!isThere && mayEndSilently) { return }
                guard isThere else {
                    throw CLIError(.badAnswer, "The API has no more events, and the last one never came.")
                }
                // Else the server ended the stream in good order, as it does when it restarts.
            } catch let error as CLIError where error.isPassing {
                let now = ContinuousClock.now
                let since = outageSince ?? now
                outageSince = since
                guard now - since < outageMax else { throw error }
                await outage(error)
            }
            try await Task.sleep(for: backoff)
            backoff = min(backoff * 2, Self.backoffMax)
        }
    }
}
