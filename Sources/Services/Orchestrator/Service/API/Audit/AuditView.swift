internal import Contracts
internal import FoundationEssentials
internal import Storage

/// Entries as the API, the export and the log show them.
enum AuditView {
    static func entry(_ row: AuditRow) -> JSON { JSONWriter.object { write(row, to: &$0) } }

    /// One line of the export: with everything the hash covers.
    static func export(_ row: AuditRow) -> JSON {
        JSONWriter.object { writer in
            writer.field("tenant", row.tenant)
            write(row, to: &writer)
            writer.field(ifPresent: "at_microseconds", row.atMicroseconds)
            writer.field("prev_hash", hexadecimal(row.previousHash))
        }
    }

    /// An entry that has no row.
    static func line(_ entry: AuditEntry) -> JSON {
        JSONWriter.object { writer in
            writer.field("tenant", entry.chain.text)
            writer.field("at", Timestamp.text(entry.at))
            writer.field("actor", entry.actor)
            writer.field("role", entry.actorRole)
            writer.field("action", entry.action)
            writer.field("resource", entry.resource)
            writer.field("outcome", entry.outcome.rawValue)
            writer.field(ifPresent: "reason", entry.reason)
            writer.field("detail", entry.detail)
        }
    }

    private static func write(_ row: AuditRow, to writer: inout JSONWriter) {
        writer.field("seq", row.sequence)
        writer.field(ifPresent: "at", row.at.map(Timestamp.text))
        writer.field("actor", row.actor)
        writer.field("role", row.actorRole)
        writer.field("action", row.action)
        writer.field("resource", row.resource)
        writer.field("outcome", row.outcome)
        writer.field(ifPresent: "reason", row.reason)
        writer.field(ifPresent: "trace_id", row.traceID)
        writer.field("detail", detail(row.detail))
        writer.field("hash", hexadecimal(row.hash))
    }

    /// Postgres admits texts as `json` that this reader refuses; a damaged row must still be shown.
    private static func detail(_ bytes: [UInt8]) -> JSON {
        do { return try JSON(parsing: bytes) } catch { return .null }
    }

    static func hexadecimal(_ bytes: [UInt8]) -> String {
        stride(from: 0, to: bytes.count, by: 8).map { start in
            let word = bytes[start..<min(start + 8, bytes.count)]
            return String(Hexadecimal.text(word.reduce(0) { $0 << 8 | UInt64($1) }).suffix(word.count * 2))
        }.joined()
    }
}
