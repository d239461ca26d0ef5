/// Splits a `text/event-stream` body into events (WHATWG HTML, "Server-sent events"), however the bytes arrive.
struct ServerSentEventParser {
    /// A line longer than this ends the stream: no event of Golden's comes near it.
    static let lineBytesMax = 4 << 20

    struct Event: Sendable, Equatable {
        var id: String?
        var name: String?
        var data: String
    }

    private var line: [UInt8] = []
    private var afterReturn = false
    private var id: String?
    private var name: String?
    private var data: [String] = []
    /// The server's wish for the wait before a reconnect.
    private(set) var retryMilliseconds: Int?

    /// The events that end within these bytes.
    mutating func feed(_ bytes: some Sequence<UInt8>) throws(CLIError) -> [Event] {
        var events: [Event] = []
        for byte in bytes {
            let isSecondOfPair = afterReturn && byte == UInt8(ascii: "\n")
            afterReturn = byte == UInt8(ascii: "\r")
            if isSecondOfPair { continue }
            if byte == UInt8(ascii: "\n") || byte == UInt8(ascii: "\r") {
                if let event = endLine() { events.append(event) }
            } else {
                line.append(byte)
                guard line.count <= Self.lineBytesMax else {
                    throw CLIError(.badAnswer, "The event stream holds a line of more than \(Self.lineBytesMax) bytes.")
                }
            }
        }
        return events
    }

    private mutating func endLine() -> Event? {
        defer { line.removeAll(keepingCapacity: true) }
        if line.isEmpty { return dispatch() }
        guard line.first != UInt8(ascii: ":") else { return nil }
        let colon = line.firstIndex(of: UInt8(ascii: ":")) ?? line.endIndex
        let field = String(decoding: line[..<colon], as: UTF8.self)
        var rest = line[colon...].dropFirst()
        if rest.first == UInt8(ascii: " ") { rest = rest.dropFirst() }
        let value = String(decoding: rest, as: UTF8.self)
        switch field {
        case "id": id = value
        case "event": name = value
        case "data": data.append(value)
        case "retry": retryMilliseconds = Int(value) ?? retryMilliseconds
        default: break
        }
        return nil
    }

    private mutating func dispatch() -> Event? {
        defer {
            name = nil
            data = []
        }
        return data.isEmpty ? nil : Event(id: id, name: name, data: data.joined(separator: "\n"))
    }
}
