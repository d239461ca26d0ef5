internal import Contracts
internal import FoundationEssentials
internal import Storage

/// Dead letters and replays as the API shows them.
enum DeadLetterView {
    static func summary(_ letter: DeadLetter) -> JSON {
        JSONWriter.object { fields(of: letter, to: &$0) }
    }

    static func document(_ document: DeadLetterDocument) -> JSON {
        JSONWriter.object { writer in
            fields(of: document.letter, to: &writer)
            if let text = String(validating: document.payload, as: UTF8.self), !document.payload.contains(0) {
                writer.field("data", text)
                writer.field("data_encoding", "utf8")
            } else {
                writer.field("data", Data(document.payload).base64EncodedString())
                writer.field("data_encoding", "base64")
            }
            writer.field("headers", document.headers)
            writer.field("history", document.history)
        }
    }

    private static func fields(of letter: DeadLetter, to writer: inout JSONWriter) {
        writer.field("id", letter.id.description)
        writer.field("original_subject", letter.originalSubject)
        writer.field("cause", letter.cause)
        writer.field("reason", letter.reason)
        writer.field(ifPresent: "error", letter.error)
        writer.field("deliveries", letter.errorCount)
        writer.field(ifPresent: "tenant", letter.tenant?.text)
        writer.field(ifPresent: "task_id", letter.task?.description)
        writer.field(ifPresent: "stream", letter.stream)
        writer.field(ifPresent: "stream_sequence", letter.streamSequence)
        writer.field(ifPresent: "consumer", letter.consumer)
        writer.field(ifPresent: "first_seen", letter.firstSeen.map(Timestamp.text))
        writer.field("created_at", Timestamp.text(letter.createdAt))
        writer.field("replays", letter.replayCount)
        writer.field(ifPresent: "replayed_at", letter.replayedAt.map(Timestamp.text))
        writer.field("state", letter.resolution == nil ? "open" : "resolved")
        guard let resolution = letter.resolution else { return }
        writer.field("resolved_at", Timestamp.text(resolution.at))
        writer.field(ifPresent: "resolved_by", resolution.by)
        writer.field(ifPresent: "resolution_notes", resolution.notes)
    }

    static func group(_ group: DeadLetterGroup) -> JSON {
        JSONWriter.object { writer in
            writer.field("cause", group.cause)
            writer.field("count", group.count)
            writer.field("subject", group.family)
            writer.field("reason", group.reason)
            writer.field(ifPresent: "error", group.error)
            writer.field("first_at", Timestamp.text(group.firstAt))
            writer.field("last_at", Timestamp.text(group.lastAt))
        }
    }

    static func replay(_ replay: Replay) -> JSON {
        JSONWriter.object { fields(of: replay, to: &$0) }
    }

    private static func fields(of replay: Replay, to writer: inout JSONWriter) {
        writer.field("id", replay.id.description)
        writer.field("state", replay.state.rawValue)
        writer.field("filter", object: { replay.filter.write(to: &$0) })
        writer.field("edited", replay.payload != nil)
        writer.field("rate", replay.rate)
        writer.field("total", replay.total)
        writer.field("replayed", replay.replayed)
        writer.field("skipped", replay.skipped)
        writer.field("requested_by", replay.requestedBy)
        writer.field(ifPresent: "note", replay.note)
        writer.field("created_at", Timestamp.text(replay.createdAt))
        writer.field("updated_at", Timestamp.text(replay.updatedAt))
        writer.field(ifPresent: "ended_at", replay.endedAt.map(Timestamp.text))
    }
}
