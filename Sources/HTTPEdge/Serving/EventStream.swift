internal import Contracts
internal import FoundationEssentials
internal import HTTPTypes
package import Hummingbird
internal import NIOCore

/// One event of a stream (WHATWG HTML, section 9.2).
package struct ServerSentEvent: Sendable, Equatable {
    package let id: Int
    /// The event's name; no line breaks.
    package let name: String
    /// One line, or several: each becomes a `data:` line.
    package let data: String

    package init(id: Int, name: String, data: String) {
        self.id = id
        self.name = name
        self.data = data
    }

    var text: String {
        let lines = data.split(omittingEmptySubsequences: false) { $0 == "\n" || $0 == "\r" || $0 == "\r\n" }
        return "id: \(id)\nevent: \(name)\n" + lines.map { "data: \($0)\n" }.joined() + "\n"
    }
}

/// Some events, in order, and whether they are the last.
package struct EventPage: Sendable {
    package let events: [ServerSentEvent]
    /// The stream ends after these.
    package let isLast: Bool

    package init(events: [ServerSentEvent], isLast: Bool) {
        self.events = events
        self.isLast = isLast
    }
}

/// An answer that goes on: events as they happen, a comment when nothing does.
///
/// The stream ends after the last page, when the client goes away, when the caller's token expires or `lifetimeMax`
/// has passed, and when the server drains; unless it was the last page, it says when to come back. A token that was
/// revoked gets no further page.
package struct EventStream: Sendable {
    package static let contentType = "text/event-stream"
    /// How long clients are told to wait before they connect again.
    package static let retryMilliseconds = 1000
    /// However long the token is good, clients come back after this.
    package static let lifetimeMax: Duration = .seconds(6 * 3600)

    package var heartbeat: Duration = .seconds(15)
    /// Returns what comes after an event id, waiting until there is something; the last id given out is asked for
    /// next. Called one at a time; must end when its task is cancelled, and may then be asked for the same again.
    package let next: @Sendable (_ after: Int) async throws -> EventPage

    package init(heartbeat: Duration = .seconds(15), next: @escaping @Sendable (_ after: Int) async throws -> EventPage)
    {
        self.heartbeat = heartbeat
        self.next = next
    }

    /// - Parameter after: the id of the last event the client has; 0 for all.
    package func response(to request: Request, _ context: EdgeRequestContext, after: Int) -> Response {
        Response(
            // Watching whether the client is still there takes what it sends, so nothing else can be asked on it.
            status: .ok, headers: [.contentType: Self.contentType, .connection: "close"],
            body: ResponseBody { writer in
                let (gone, goneSource) = AsyncStream<Never>.makeStream()
                var last = after
                try await request.body.consumeWithInboundCloseHandler { _ in
                    try await send(to: &writer, context, gone, &last)
                } onInboundClosed: {
                    goneSource.finish()
                }
                try await writer.finish(nil)
            }
        )
    }

    private enum Signal: Sendable {
        case page(EventPage)
        case heartbeat
        case comeBack
        case gone
    }

    private func send(
        to writer: inout any ResponseBodyWriter, _ context: EdgeRequestContext, _ gone: AsyncStream<Never>,
        _ last: inout Int
    ) async throws {
        try await withThrowingTaskGroup(of: Signal.self) { group in
            defer { group.cancelAll() }
            let after = last
            group.addTask { .page(try await next(after)) }
            group.addTask { try await beat() }
            group.addTask { await drained(context.drain) }
            group.addTask { await left(gone) }
            group.addTask { try await expired(context.token) }
            try await writer.write(ByteBuffer(string: ": stream\n\n"))
            while let signal = try await group.next() {
                switch signal {
                case .page where isRevoked(context), .heartbeat where isRevoked(context), .comeBack:
                    try await writer.write(ByteBuffer(string: "retry: \(Self.retryMilliseconds)\n\n"))
                    return
                case .page(let page):
                    try await writer.write(ByteBuffer(string: page.events.map(\.text).joined()))
                    if page.isLast { return }
                    last = page.events.last?.id ?? last
                    let after = last
                    group.addTask { .page(try await next(after)) }
                case .heartbeat:
                    try await writer.write(ByteBuffer(string: ": heartbeat\n\n"))
                    group.addTask { try await beat() }
                case .gone: return
                }
            }
        }
    }

    private func isRevoked(_ context: EdgeRequestContext) -> Bool {
        context.token.map(context.isTokenRevoked) ?? false
    }

    private func beat() async throws -> Signal {
        try await Task.sleep(for: heartbeat)
        return .heartbeat
    }

    private func drained(_ drain: Drain) async -> Signal {
        await drain.wait()
        return .comeBack
    }

    private func left(_ gone: AsyncStream<Never>) async -> Signal {
        for await _ in gone {}
        return .gone
    }

    private func expired(_ token: VerifiedToken?) async throws -> Signal {
        let left = token.map { Duration.seconds(max(0, $0.expiresAt.timeIntervalSinceNow)) } ?? Self.lifetimeMax
        try await Task.sleep(for: min(left, Self.lifetimeMax))
        return .comeBack
    }
}
