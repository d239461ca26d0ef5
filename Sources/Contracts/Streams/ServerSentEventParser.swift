/// Splits a `text/event-stream` body into events (WHATWG HTML, "Server-sent events"), however the bytes arrive.
package struct ServerSentEventParser: Sendable {
    /// The longest event unless told otherwise: none of Golden's comes near it.
    package static let eventBytesDefault = 4 << 20

    package struct Event: Sendable, Equatable {
        package var id: String?
        package var name: String?
        package var data: String

        package init(id: String? = nil, name: String? = nil, data: String) {
            self.id = id
            self.name = name
            self.data = data
        }
    }

    /// A line, or the data of one event, is longer than it may be.
    package struct TooLong: Error, CustomStringConvertible {
        package let bytesMax: Int

        package var description: String { "The event stream holds an event of more than \(bytesMax) bytes." }
    }

    /// The longest line, and the most data of one event.
    private let eventBytesMax: Int

    private var line: [UInt8] = []
    private var afterReturn = false
    private var id: String?
    private var name: String?
    private var data: [String] = []
    private var dataBytes = 0
    /// The server's wish for the wait before a reconnect.
    package private(set) var retryMilliseconds: Int?

    package init(eventBytesMax: Int = eventBytesDefault) {
        self.eventBytesMax = eventBytesMax
    }

    /// The events that end within these bytes.
    package mutating func feed(_ bytes: some Sequence<UInt8>) throws(TooLong) -> [Event] {
        var events: [Event] = []
        for byte in bytes {
            let isSecondOfPair = afterReturn && byte == UInt8(ascii: "\n")
            afterReturn = byte == UInt8(ascii: "\r")
            if isSecondOfPair { continue }
            if byte == UInt8(ascii: "\n") || byte == UInt8(ascii: "\r") {
                if let event = endLine() { events.append(event) }
            } else {
                line.append(byte)
                guard line.count + dataBytes <= eventBytesMax else { throw TooLong(bytesMax: eventBytesMax) }
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
        case "data":
            data.append(value)
            // An empty line of data takes room too.
            dataBytes += rest.count + 1
        case "retry": retryMilliseconds = Int(value) ?? retryMilliseconds
        default: break
        }
        return nil
    }

    private mutating func dispatch() -> Event? {
        defer {
            name = nil
            data = []
            dataBytes = 0
        }
        return data.isEmpty ? nil : Event(id: id, name: name, data: data.joined(separator: "\n"))
    }
}
