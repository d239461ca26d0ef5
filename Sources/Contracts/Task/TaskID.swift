package import FoundationEssentials

/// A task's identity: a UUID of version 7 (RFC 9562), so that ids sort by time of acceptance.
package struct TaskID: Hashable, Sendable, CustomStringConvertible {
    package let uuid: UUID

    package init(_ uuid: UUID) {
        self.uuid = uuid
    }

    /// Nil unless `text` is a UUID.
    package init?(_ text: some StringProtocol) {
        guard text.utf8.count == 36, let uuid = UUID(uuidString: String(text)) else { return nil }
        self.uuid = uuid
    }

    /// Version 7: 48 bits of milliseconds since 1970, then randomness.
    package init(at time: Date, random: (UInt64, UInt64)) {
        uuid = UUID.version7(at: time, random: random)
    }

    /// Lower case, as it stands in URLs and subjects.
    package var description: String {
        var text: [UInt8] = []
        text.reserveCapacity(36)
        let bytes = uuid.uuid
        withUnsafeBytes(of: bytes) { bytes in
            for (index, byte) in bytes.enumerated() {
                if index == 4 || index == 6 || index == 8 || index == 10 { text.append(UInt8(ascii: "-")) }
                Hexadecimal.append(byte, to: &text)
            }
        }
        return String(decoding: text, as: UTF8.self)
    }
}

extension UUID {
    package static func version7(at time: Date, random: (UInt64, UInt64)) -> UUID {
        let milliseconds = UInt64(max(0, time.timeIntervalSince1970 * 1000))
        let high = milliseconds << 16 | 0x7000 | (random.0 & 0x0FFF)
        let low = 0x8000_0000_0000_0000 | (random.1 >> 2)
        func byte(_ word: UInt64, _ index: UInt64) -> UInt8 { UInt8(truncatingIfNeeded: word >> (56 - 8 * index)) }
        return UUID(
            uuid: (
                byte(high, 0), byte(high, 1), byte(high, 2), byte(high, 3),
                byte(high, 4), byte(high, 5), byte(high, 6), byte(high, 7),
                byte(low, 0), byte(low, 1), byte(low, 2), byte(low, 3),
                byte(low, 4), byte(low, 5), byte(low, 6), byte(low, 7)
            )
        )
    }
}
