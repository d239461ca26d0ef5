package import FoundationEssentials

/// Where a list goes on: opaque to clients, checked when it comes back.
///
/// Base64url of `1|<list>|<keys…>|<check>`, the check being FNV-1a of the rest: it tells a damaged cursor from a good
/// one. It is no signature, because a cursor grants nothing; every page is read under the caller's own tenant.
package struct Cursor: Sendable, Equatable {
    package static let bytesMax = 512

    /// The sort keys of the last row of the page before.
    package let keys: [String]

    package init(_ keys: [String]) {
        self.keys = keys
    }

    /// A row of a list that is sorted by time, of which microseconds count, and then by id.
    package init(_ time: Date, _ id: String) {
        keys = ["\(Int((time.timeIntervalSince1970 * 1_000_000).rounded()))", id]
    }

    /// What the row's time and id make; nil when they are none, the time being one of the years 1970 to 9999.
    package func place<Row>(_ make: (Date, String) -> Row?) -> Row? {
        guard keys.count == 2, let microseconds = Int(keys[0]),
            (0..<253_402_300_800_000_000).contains(microseconds)
        else { return nil }
        return make(Date(timeIntervalSince1970: Double(microseconds) / 1_000_000), keys[1])
    }

    /// Nil unless `text` was written by `text(list:)` for the same list.
    package init?(text: String, list: String) {
        guard text.utf8.count <= Self.bytesMax, let bytes = Base64URL.decode(text.utf8),
            let plain = String(validating: bytes, as: UTF8.self), !plain.utf8.contains(where: { $0 < 0x20 })
        else { return nil }
        let parts = plain.split(separator: "|", omittingEmptySubsequences: false)
        guard parts.count >= 4, parts[0] == "1", parts[1] == list, let last = parts.last,
            last == Self.check(plain.utf8.dropLast(last.utf8.count))
        else { return nil }
        keys = parts[2..<(parts.count - 1)].map(String.init)
    }

    /// - Precondition: no key holds a `|`.
    package func text(list: String) -> String {
        precondition(
            !keys.isEmpty && keys.allSatisfy { !$0.utf8.contains(UInt8(ascii: "|")) }, "Keys must not hold '|'.")
        let plain = "1|\(list)|\(keys.joined(separator: "|"))|"
        return Base64URL.encode((plain + Self.check(plain.utf8)).utf8)
    }

    /// Source: Fowler, Noll, Vo; 64-bit FNV-1a.
    private static func check(_ bytes: some Sequence<UInt8>) -> String {
        let hash = bytes.reduce(0xcbf2_9ce4_8422_2325 as UInt64) { ($0 ^ UInt64($1)) &* 0x0000_0100_0000_01b3 }
        return String(hash, radix: 36)
    }
}
