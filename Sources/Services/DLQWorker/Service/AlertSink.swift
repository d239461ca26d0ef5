internal import AsyncHTTPClient
internal import Bootstrap
internal import Contracts
internal import DLQWorkerCore
internal import FoundationEssentials
internal import Logging
internal import NIOCore
internal import NIOHTTP1

/// Somewhere people hear of alerts.
protocol AlertSink: Sendable {
    /// Of the circuit breaker and in metrics.
    var name: String { get }
    func tell(_ notices: [AlertBook.Notice]) async throws
}

extension AlertBook.Notice {
    /// One sentence for people.
    var summary: String {
        let what: String =
            switch name {
            case .manyDeadLetters: "\(count) dead letters are unresolved."
            case .criticalSubject: "\(count) dead letters are escalations that nobody hears of otherwise."
            }
        return endsAt == nil ? what : "It is over: \(what)"
    }

    static let advice = "See them with: golden dlq groups"
}

/// The log, for installations without any other.
struct LogSink: AlertSink {
    let name = "log"
    let logger: Logger

    func tell(_ notices: [AlertBook.Notice]) async {
        for notice in notices {
            logger.log(
                level: notice.severity == .critical ? .error : .warning, "alert",
                metadata: [
                    "alert": "\(notice.name.rawValue)", "severity": "\(notice.severity.rawValue)",
                    "summary": "\(notice.summary)", "state": notice.endsAt == nil ? "firing" : "resolved",
                ]
            )
        }
    }
}

/// Prometheus' Alertmanager.
/// Source: its API v2, `POST /api/v2/alerts`.
struct AlertmanagerSink: AlertSink {
    let name = "alertmanager"
    let post: AlertPost

    func tell(_ notices: [AlertBook.Notice]) async throws {
        try await post.send(
            JSONWriter.array { writer in
                for notice in notices { writer.element(object: { Self.write(notice, to: &$0) }) }
            }
        )
    }

    private static func write(_ notice: AlertBook.Notice, to writer: inout JSONWriter) {
        writer.field(
            "labels",
            object: {
                $0.field("alertname", notice.name.rawValue)
                $0.field("severity", notice.severity.rawValue)
                $0.field("service", "dlq-worker")
            })
        writer.field(
            "annotations",
            object: {
                $0.field("summary", notice.summary)
                $0.field("description", AlertBook.Notice.advice)
            })
        writer.field("startsAt", Timestamp.text(notice.startsAt))
        // While it lasts it is told again more often than Alertmanager forgets.
        writer.field(ifPresent: "endsAt", notice.endsAt.map(Timestamp.text))
    }
}

/// A chat's incoming webhook, as Slack, Mattermost and others take it.
struct ChatSink: AlertSink {
    let name = "webhook"
    let post: AlertPost

    func tell(_ notices: [AlertBook.Notice]) async throws {
        let lines = notices.map { notice in
            let state = notice.endsAt == nil ? notice.severity.rawValue : "resolved"
            return "[\(state)] \(notice.name.rawValue): \(notice.summary) \(AlertBook.Notice.advice)"
        }
        try await post.send(JSONWriter.object { $0.field("text", lines.joined(separator: "\n")) })
    }
}

/// Posts JSON to one address.
struct AlertPost: Sendable {
    static let timeout: TimeAmount = .seconds(5)

    let url: String
    let client: HTTPClient

    struct Refused: Error, CustomStringConvertible {
        let status: UInt
        var description: String { "The receiver of alerts answered \(status)." }
    }

    func send(_ body: JSON) async throws {
        var request = HTTPClientRequest(url: url)
        request.method = .POST
        request.headers.add(name: "content-type", value: "application/json")
        request.headers.add(name: "user-agent", value: "golden-dlq-worker/\(Version.current)")
        request.body = .bytes(Array(body.bytes))
        let response = try await client.execute(request, timeout: Self.timeout)
        guard (200..<300).contains(response.status.code) else { throw Refused(status: response.status.code) }
    }
}
