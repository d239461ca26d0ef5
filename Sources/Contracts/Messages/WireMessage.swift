package import FoundationEssentials

/// What a consumer can read off the bus.
package protocol BusPayload: Sendable {
    init(payload: [UInt8]) throws(JSONError)
}

/// Bytes as they came, whatever they are.
package struct RawPayload: BusPayload {
    package let bytes: [UInt8]

    package init(payload: [UInt8]) {
        bytes = payload
    }
}

/// A message on the bus: one JSON object with `"v": 1`; readers ignore fields they do not know.
package protocol WireMessage: BusPayload {
    init(json: JSON) throws(JSONError)
    /// Writes every field but the version.
    func write(to writer: inout JSONWriter)
}

extension WireMessage {
    package init(payload: [UInt8]) throws(JSONError) { try self.init(json: JSON(parsing: payload)) }

    /// The message as it goes over the wire.
    package var json: JSON {
        JSONWriter.object { writer in
            writer.field("v", 1)
            write(to: &writer)
        }
    }
}

extension JSONReader {
    /// Throws unless the message is of a version this build reads.
    package mutating func requireVersion() throws(JSONError) {
        let version = try int("v")
        if version != 1 { throw error("v", "is \(version); this build reads version 1") }
    }

    package mutating func taskID(_ field: String) throws(JSONError) -> TaskID {
        guard let id = TaskID(try string(field)) else { throw error(field, "must be a UUID") }
        return id
    }

    package mutating func timestamp(_ field: String) throws(JSONError) -> Date {
        guard let date = Timestamp.date(try string(field)) else {
            throw error(field, "must be a time such as 2026-01-31T12:00:00.000Z")
        }
        return date
    }
}

/// Times on the wire: RFC 3339, UTC, milliseconds.
package enum Timestamp {
    /// The years of four digits, in milliseconds since 1970.
    private static let range = -62_167_219_200_000.0...253_402_300_799_999.0

    /// A time outside the years 0 to 9999 is written as the nearest in them.
    package static func text(_ date: Date) -> String {
        let exact = (date.timeIntervalSince1970 * 1000).rounded(.down)
        let milliseconds = Int(min(max(exact, range.lowerBound), range.upperBound))
        let (days, inDay) = milliseconds.flooredDivision(by: 86_400_000)
        let (year, month, day) = civil(fromDays: days)
        let (seconds, fraction) = (inDay / 1000, inDay % 1000)
        var digits = Self.template
        put(year, 4, at: 0, into: &digits)
        put(month, 2, at: 5, into: &digits)
        put(day, 2, at: 8, into: &digits)
        put(seconds / 3600, 2, at: 11, into: &digits)
        put(seconds / 60 % 60, 2, at: 14, into: &digits)
        put(seconds % 60, 2, at: 17, into: &digits)
        put(fraction, 3, at: 20, into: &digits)
        return String(decoding: digits, as: UTF8.self)
    }

    private static let template = Array("0000-00-00T00:00:00.000Z".utf8)

    /// Writes the last `width` decimal digits; the years of four digits are those of RFC 3339.
    private static func put(_ value: Int, _ width: Int, at start: Int, into digits: inout [UInt8]) {
        var rest = value
        for place in (start..<(start + width)).reversed() {
            digits[place] = UInt8(ascii: "0") + UInt8(rest % 10)
            rest /= 10
        }
    }

    /// Reads what `text` writes, and other offsets and fractions of RFC 3339.
    package static func date(_ text: String) -> Date? {
        if let date = plain(text) { return date }
        let style = Date.ISO8601FormatStyle(includingFractionalSeconds: text.contains("."))
        do { return try style.parse(text) } catch { return nil }
    }

    /// Reads exactly what `text` writes, which every work item holds, without a formatter; nil for anything else.
    private static func plain(_ text: String) -> Date? {
        let bytes = Array(text.utf8)
        guard bytes.count == template.count else { return nil }
        let zero = UInt8(ascii: "0")
        for (byte, mark) in zip(bytes, template) {
            guard mark == zero ? (zero...UInt8(ascii: "9")).contains(byte) : byte == mark else { return nil }
        }
        func number(_ places: Range<Int>) -> Int { bytes[places].reduce(0) { $0 * 10 + Int($1 - zero) } }
        let date = (year: number(0..<4), month: number(5..<7), day: number(8..<10))
        let (hour, minute, second) = (number(11..<13), number(14..<16), number(17..<19))
        guard (1...12).contains(date.month), hour < 24, minute < 60, second < 60 else { return nil }
        let days = days(to: date)
        guard civil(fromDays: days) == date else { return nil }
        let milliseconds = ((days * 24 + hour) * 60 + minute) * 60_000 + second * 1000 + number(20..<23)
        return Date(timeIntervalSince1970: Double(milliseconds) / 1000)
    }

    /// The other way round than `civil`, from the same source.
    private static func days(to date: (year: Int, month: Int, day: Int)) -> Int {
        let (era, yearOfEra) = (date.month <= 2 ? date.year - 1 : date.year).flooredDivision(by: 400)
        let shifted = date.month > 2 ? date.month - 3 : date.month + 9
        let dayOfYear = (153 * shifted + 2) / 5 + date.day - 1
        return era * 146_097 + yearOfEra * 365 + yearOfEra / 4 - yearOfEra / 100 + dayOfYear - 719_468
    }

    /// Days since 1970-01-01 to a date of the Gregorian calendar.
    /// Source: H. Hinnant, "chrono-Compatible Low-Level Date Algorithms".
    private static func civil(fromDays days: Int) -> (year: Int, month: Int, day: Int) {
        let (era, dayOfEra) = (days + 719_468).flooredDivision(by: 146_097)
        let yearOfEra = (dayOfEra - dayOfEra / 1460 + dayOfEra / 36_524 - dayOfEra / 146_096) / 365
        let dayOfYear = dayOfEra - (365 * yearOfEra + yearOfEra / 4 - yearOfEra / 100)
        let shifted = (5 * dayOfYear + 2) / 153
        let month = shifted < 10 ? shifted + 3 : shifted - 9
        return (yearOfEra + era * 400 + (month <= 2 ? 1 : 0), month, dayOfYear - (153 * shifted + 2) / 5 + 1)
    }
}

extension Int {
    fileprivate func flooredDivision(by divisor: Int) -> (quotient: Int, remainder: Int) {
        let remainder = (self % divisor + divisor) % divisor
        return ((self - remainder) / divisor, remainder)
    }
}
