internal import Glibc

/// When a line of a log was written, as the stack's programs write it.
///
/// Golden's and Prometheus' write RFC 3339, Postgres `2026-01-31 12:00:00.123 UTC`; nats-server
/// `2026/01/31 12:00:00.123456` and Redis `31 Jan 2026 12:00:00.123`, both in the machine's own time zone.
struct LogTime {
    /// All of them write it further to the front.
    static let bytesMax = 80
    private static let months = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"]

    private let bytes: [UInt8]
    private var at: Int

    /// Microseconds since 1970; nil for a line without a time.
    static func microseconds(_ line: String) -> Int? {
        let bytes = Array(line.utf8.prefix(bytesMax))
        for start in bytes.indices where isDigit(bytes[start]) && (start == 0 || !isDigit(bytes[start - 1])) {
            var time = LogTime(bytes: bytes, at: start)
            if let microseconds = time.read() { return microseconds }
        }
        return nil
    }

    private mutating func read() -> Int? {
        guard let date = self.date(), skip("T") || skip(" "), let hour = number(2), skip(":"), let minute = number(2),
            skip(":"), let second = number(2)
        else { return nil }
        let microseconds = skip(".") ? fraction() : 0
        var parts = tm()
        parts.tm_year = Int32(date.year - 1900)
        parts.tm_mon = Int32(date.month - 1)
        parts.tm_mday = Int32(date.day)
        parts.tm_hour = Int32(hour)
        parts.tm_min = Int32(minute)
        parts.tm_sec = Int32(second)
        parts.tm_isdst = -1
        let seconds = skip("Z") || skip(" UTC") ? timegm(&parts) : mktime(&parts)
        return seconds * 1_000_000 + microseconds
    }

    private mutating func date() -> (year: Int, month: Int, day: Int)? {
        let start = at
        if let year = number(4), skip("-") || skip("/"), let month = number(2), skip("-") || skip("/"),
            let day = number(2)
        {
            return (year, month, day)
        }
        at = start
        guard let day = number(2), skip(" "), let month = Self.months.firstIndex(where: { skip($0) }), skip(" "),
            let year = number(4)
        else { return nil }
        return (year, month + 1, day)
    }

    /// Exactly so many digits.
    private mutating func number(_ digits: Int) -> Int? {
        let end = at + digits
        guard end <= bytes.count, bytes[at..<end].allSatisfy(Self.isDigit) else { return nil }
        defer { at = end }
        return Self.value(bytes[at..<end])
    }

    /// The digits after a point, as millionths.
    private mutating func fraction() -> Int {
        let digits = bytes[at...].prefix(while: Self.isDigit)
        at = digits.endIndex
        let millionths = digits.prefix(6)
        return (millionths.count..<6).reduce(Self.value(millionths)) { value, _ in value * 10 }
    }

    private mutating func skip(_ text: String) -> Bool {
        guard bytes[at...].starts(with: text.utf8) else { return false }
        at += text.utf8.count
        return true
    }

    private static func value(_ digits: ArraySlice<UInt8>) -> Int {
        digits.reduce(0) { $0 * 10 + Int($1 - UInt8(ascii: "0")) }
    }

    private static func isDigit(_ byte: UInt8) -> Bool { (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte) }
}
