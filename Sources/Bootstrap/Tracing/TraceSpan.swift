internal import Contracts
internal import FoundationEssentials

/// A piece of work that has begun: what it causes hangs on it.
package struct OpenSpan: Sendable {
    let context: TraceContext
    let parent: String

    /// For the messages that come of it.
    package var traceparent: String { context.traceparent }
}

/// A finished piece of work in a trace, as it is exported.
package struct TraceSpan: Sendable {
    /// OpenTelemetry's kinds and their numbers on the wire.
    package enum Kind: Int, Sendable {
        case work = 1
        case server = 2
        case client = 3
        case producer = 4
        case consumer = 5
    }

    let context: TraceContext
    /// The span that caused it; nil when this one began the trace.
    let parent: String?
    let name: String
    let kind: Kind
    let start: Date
    let end: Date
    let attributes: [(String, String)]
    let isFailed: Bool

    /// One object of OTLP's JSON form.
    func write(to writer: inout JSONWriter) {
        writer.field("traceId", context.traceID)
        writer.field("spanId", context.spanID)
        writer.field(ifPresent: "parentSpanId", parent)
        writer.field("name", name)
        writer.field("kind", kind.rawValue)
        writer.field("startTimeUnixNano", Self.nanoseconds(start))
        writer.field("endTimeUnixNano", Self.nanoseconds(max(start, end)))
        writer.field(
            "attributes",
            array: { writer in
                for (name, value) in attributes { writer.element(object: { Self.write(name, value, to: &$0) }) }
            })
        if isFailed { writer.field("status", object: { $0.field("code", 2) }) }
    }

    static func write(_ name: String, _ value: String, to writer: inout JSONWriter) {
        writer.field("key", name)
        writer.field("value", object: { $0.field("stringValue", value) })
    }

    /// 64-bit numbers are strings in OTLP's JSON form.
    private static func nanoseconds(_ date: Date) -> String {
        String(UInt64(max(0, date.timeIntervalSince1970 * 1_000_000)) * 1000)
    }
}
