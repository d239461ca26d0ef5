internal import Contracts
internal import NIOCore
package import ReleaseGateCore

/// Tells people what became of a release: one POST for each entry that concerns them, to a chat's or a pager's webhook.
///
/// It comes after the entry and never stands in its way: a receiver that is away costs `timeout` and a line on the
/// terminal.
package struct Notifier: Sendable {
    private static let timeout: TimeAmount = .seconds(5)

    /// Secret: whoever knows it may post.
    private let url: String
    private let console: Console

    package init(url: String, console: Console) {
        self.url = url
        self.console = console
    }

    /// What is worth a message. Steps and single decisions are not: those who walk a canary see them.
    static func concerns(_ kind: LineageEntry.Kind) -> Bool {
        switch kind {
        case .promote, .seal, .rollback, .revocation, .uninstall, .breakGlass: true
        case .cut, .install, .step, .decision, .verification, .approval, .imported, .intent: false
        }
    }

    package func tell(_ entry: LineageEntry) async {
        guard Self.concerns(entry.event.kind) else { return }
        do {
            let answer = try await HTTPFetch()(url, body: Array(Self.body(entry).bytes), timeout: Self.timeout)
            guard (200..<300).contains(answer.status) else {
                return console.note("\(HTTPFetch.place(url)) took no message: status \(answer.status).")
            }
        } catch {
            console.note("Nobody was told: \(error.message)")
        }
    }

    /// `text` is what chats show.
    static func body(_ entry: LineageEntry) -> JSON {
        let event = entry.event
        let text = "\(event.kind.rawValue) of \(event.version) in \(event.environment.rawValue) by \(event.actor)"
        return JSONWriter.object { writer in
            writer.field("text", "\(text): \(event.reason)")
            writer.field("event", event.kind.rawValue)
            writer.field("version", event.version.description)
            writer.field("environment", event.environment.rawValue)
            writer.field("actor", event.actor)
            writer.field("reason", event.reason)
            writer.field("at", Timestamp.text(event.atSeconds))
            writer.field("entry", entry.sequence)
        }
    }
}
