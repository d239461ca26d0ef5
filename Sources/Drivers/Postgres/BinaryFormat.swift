internal import FoundationEssentials

/// Reads Postgres' binary formats (Postgres sources, src/backend/utils/adt/*.c, the `…_send` functions).
/// Every function answers nil when the bytes are not what they should be.
enum BinaryFormat {
    static func isText(_ type: UInt32) -> Bool {
        switch type {
        case PostgresType.text, PostgresType.varchar, PostgresType.blankPadded, PostgresType.name, PostgresType.char,
            PostgresType.unknown:
            true
        default: type >= PostgresType.firstUserDefined
        }
    }

    static func integer<T: FixedWidthInteger>(_ bytes: UnsafeRawBufferPointer, at offset: Int = 0, as: T.Type) -> T? {
        guard offset >= 0, offset + MemoryLayout<T>.size <= bytes.count else { return nil }
        return unsafe T(bigEndian: bytes.loadUnaligned(fromByteOffset: offset, as: T.self))
    }

    static func text(_ bytes: UnsafeRawBufferPointer) -> String? { unsafe String(validating: bytes, as: UTF8.self) }

    static func int(_ bytes: UnsafeRawBufferPointer) -> Int? {
        switch bytes.count {
        case 2: unsafe integer(bytes, as: Int16.self).map(Int.init)
        case 4: unsafe integer(bytes, as: Int32.self).map(Int.init)
        case 8: unsafe integer(bytes, as: Int64.self).map(Int.init)
        default: nil
        }
    }

    static func double(_ bytes: UnsafeRawBufferPointer) -> Double? {
        switch bytes.count {
        case 4: unsafe integer(bytes, as: UInt32.self).map { Double(Float(bitPattern: $0)) }
        case 8: unsafe integer(bytes, as: UInt64.self).map { Double(bitPattern: $0) }
        default: nil
        }
    }

    static func bool(_ bytes: UnsafeRawBufferPointer) -> Bool? {
        unsafe bytes.count == 1 ? bytes[0] != 0 : nil
    }

    static func uuid(_ bytes: UnsafeRawBufferPointer) -> UUID? {
        guard bytes.count == 16 else { return nil }
        return unsafe UUID(uuid: bytes.loadUnaligned(as: uuid_t.self))
    }

    static func timestamp(_ bytes: UnsafeRawBufferPointer) -> Date? {
        guard bytes.count == 8, let microseconds = unsafe integer(bytes, as: Int64.self) else { return nil }
        return date(microseconds)
    }

    static func day(_ bytes: UnsafeRawBufferPointer) -> Date? {
        guard bytes.count == 4, let days = unsafe integer(bytes, as: Int32.self), days > .min, days < .max else {
            return nil
        }
        return date(Int64(days) * PostgresEpoch.microsecondsPerDay)
    }

    static func json(_ bytes: UnsafeRawBufferPointer, isBinary: Bool) -> [UInt8]? {
        guard isBinary else { return unsafe [UInt8](bytes) }
        guard let version = unsafe bytes.first, version == 1 else { return nil }
        return unsafe [UInt8](bytes.dropFirst())
    }

    static func interval(_ bytes: UnsafeRawBufferPointer) -> Double? {
        guard bytes.count == 16,
            let microseconds = unsafe integer(bytes, as: Int64.self),
            let days = unsafe integer(bytes, at: 8, as: Int32.self),
            let months = unsafe integer(bytes, at: 12, as: Int32.self),
            months == 0
        else { return nil }
        return Double(microseconds) / PostgresEpoch.microsecondsPerSecond + Double(days) * 86400
    }

    /// An array of at most one dimension: dimensions, flags, element type, count, lower bound, elements.
    static func array<T>(
        _ bytes: UnsafeRawBufferPointer, _ accepts: (UInt32) -> Bool, _ read: (UnsafeRawBufferPointer) -> T?
    ) -> [T?]? {
        guard let dimensions = unsafe integer(bytes, as: Int32.self), (0...1).contains(dimensions),
            let element = unsafe integer(bytes, at: 8, as: UInt32.self), accepts(element)
        else { return nil }
        if dimensions == 0 { return [] }
        guard let count = unsafe integer(bytes, at: 12, as: Int32.self), count >= 0, Int(count) <= bytes.count else {
            return nil
        }
        var values: [T?] = []
        values.reserveCapacity(Int(count))
        var offset = 20
        for _ in 0..<count {
            guard let length = unsafe integer(bytes, at: offset, as: Int32.self) else { return nil }
            offset += 4
            if length < 0 {
                values.append(nil)
                continue
            }
            guard offset + Int(length) <= bytes.count,
                let value = unsafe read(UnsafeRawBufferPointer(rebasing: bytes[offset..<(offset + Int(length))]))
            else { return nil }
            values.append(value)
            offset += Int(length)
        }
        return values
    }

    /// `numeric`: a count of base-10000 digits, the first digit's weight, a sign, the display scale, the digits.
    static func decimal(_ bytes: UnsafeRawBufferPointer) -> String? {
        guard let count = unsafe integer(bytes, as: UInt16.self),
            let weight = unsafe integer(bytes, at: 2, as: Int16.self),
            let sign = unsafe integer(bytes, at: 4, as: UInt16.self),
            let scale = unsafe integer(bytes, at: 6, as: UInt16.self),
            bytes.count == 8 + 2 * Int(count)
        else { return nil }
        switch sign {
        case 0xC000: return "NaN"
        case 0xD000: return "Infinity"
        case 0xF000: return "-Infinity"
        default: break
        }
        func group(_ place: Int) -> String {
            let index = Int(weight) - place
            guard index >= 0, index < Int(count), let digit = unsafe integer(bytes, at: 8 + 2 * index, as: UInt16.self)
            else { return "0000" }
            let digits = String(digit)
            return String(repeating: "0", count: max(0, 4 - digits.count)) + digits
        }
        let whole = weight < 0 ? "" : (0...Int(weight)).reversed().map(group).joined()
        let trimmed = whole.drop { $0 == "0" }
        let places = (Int(scale) + 3) / 4
        let fraction = (0..<places).map { group(-1 - $0) }.joined().prefix(Int(scale))
        return (sign == 0x4000 ? "-" : "") + (trimmed.isEmpty ? "0" : trimmed) + (scale > 0 ? "." + fraction : "")
    }

    private static func date(_ microseconds: Int64) -> Date? {
        guard microseconds > .min, microseconds < .max else { return nil }
        let seconds = Double(microseconds) / PostgresEpoch.microsecondsPerSecond
        return Date(timeIntervalSinceReferenceDate: seconds - PostgresEpoch.secondsBeforeReferenceDate)
    }
}
