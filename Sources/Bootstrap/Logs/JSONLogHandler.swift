internal import Contracts
internal import FoundationEssentials
package import Logging

/// One JSON object a line: `ts`, `level`, `service`, `msg`, then the metadata's keys.
///
/// Nested metadata is kept; a value beyond `valueBytesMax` is cut, keys beyond `keysMax` are left out, and a nested
/// value is written to `depthMax` levels, so that a line stays bounded whatever is logged.
package struct JSONLogHandler: LogHandler {
    package static let valueBytesMax = 4096
    package static let keysMax = 64
    package static let depthMax = 4
    private static let reserved: Set<String> = ["ts", "level", "service", "logger", "msg", "error"]

    package var logLevel: Logger.Level
    package var metadata: Logger.Metadata = [:]
    package var metadataProvider: Logger.MetadataProvider?
    private let service: String
    private let label: String
    private let output: LogOutput

    package init(service: String, label: String, level: Logger.Level, output: LogOutput) {
        self.service = service
        self.label = label
        self.output = output
        logLevel = level
    }

    package subscript(metadataKey key: String) -> Logger.Metadata.Value? {
        get { metadata[key] }
        set { metadata[key] = newValue }
    }

    package func log(event: LogEvent) {
        var all = metadataProvider?.get() ?? [:]
        all.merge(metadata) { $1 }
        if let extra = event.metadata { all.merge(extra) { $1 } }
        var writer = JSONWriter()
        writer.object { writer in
            writer.field("ts", Timestamp.text(Date()))
            writer.field("level", event.level.rawValue)
            writer.field("service", service)
            if label != service { writer.field("logger", label) }
            writer.field("msg", Self.cut(event.message.description))
            if let error = event.error { writer.field("error", Self.cut("\(error)")) }
            for (key, value) in all.sorted(by: { $0.key < $1.key }).prefix(Self.keysMax) {
                let isTaken = Self.reserved.contains(key) && (key != "error" || event.error != nil)
                Self.write(isTaken ? "meta.\(key)" : key, value, depth: 1, to: &writer)
            }
        }
        output.write(writer.bytes)
    }

    private static func write(_ key: String, _ value: Logger.MetadataValue, depth: Int, to writer: inout JSONWriter) {
        switch value {
        case .string(let text): writer.field(key, cut(text))
        case .stringConvertible(let value): writer.field(key, cut(value.description))
        case .dictionary(let fields):
            writer.field(
                key,
                object: { writer in
                    guard depth < depthMax else { return }
                    for (key, value) in fields.sorted(by: { $0.key < $1.key }).prefix(keysMax) {
                        write(key, value, depth: depth + 1, to: &writer)
                    }
                })
        case .array(let values): writer.field(key, values.prefix(keysMax).map { cut("\($0)") })
        }
    }

    private static func cut(_ text: String) -> String {
        guard text.utf8.count > valueBytesMax else { return text }
        return String(decoding: text.utf8.prefix(valueBytesMax), as: UTF8.self) + "…"
    }
}
