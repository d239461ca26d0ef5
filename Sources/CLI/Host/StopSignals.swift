internal import Dispatch
internal import Glibc

/// Turns SIGINT and SIGTERM into an awaited event for as long as `body` runs.
enum StopSignals {
    /// Runs `body` with a latch that opens at the first SIGINT, SIGTERM or SIGHUP.
    static func with<Result: Sendable>(
        _ body: (Latch) async throws -> Result
    ) async rethrows -> Result {
        let latch = Latch()
        let sources = [SIGINT, SIGTERM, SIGHUP].map { number in
            signal(number, SIG_IGN)
            let source = DispatchSource.makeSignalSource(signal: number, queue: .global())
            source.setEventHandler { latch.open() }
            source.resume()
            return source
        }
        defer { for source in sources { source.cancel() } }
        return try await body(latch)
    }
}
