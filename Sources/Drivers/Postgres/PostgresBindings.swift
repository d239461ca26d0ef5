package import FoundationEssentials

/// The values of one statement, written in Postgres' binary format, each with its type so that the server need not
/// guess. `nil` is NULL. A value the server could not take (text with a NUL character, a date out of range, too many
/// bytes) is remembered as `failure` and refused before anything is sent.
package struct PostgresBindings {
    private(set) var bytes: [UInt8] = []
    private(set) var offsets: [Int] = []
    private(set) var lengths: [Int32] = []
    private(set) var types: [UInt32] = []
    private(set) var formats: [Int32] = []
    private(set) var failure: PostgresError?
    private let maxBytes: Int

    /// The wire's own bound on the number of parameters.
    static let maxParameters = 65535
    /// The offset that says NULL.
    static let null = -1

    init(maxBytes: Int) {
        self.maxBytes = maxBytes
    }

    mutating func removeAll() {
        bytes.removeAll(keepingCapacity: bytes.capacity <= 1 << 20)
        offsets.removeAll(keepingCapacity: true)
        lengths.removeAll(keepingCapacity: true)
        types.removeAll(keepingCapacity: true)
        formats.removeAll(keepingCapacity: true)
        failure = nil
    }

    package mutating func text(_ value: String?) {
        append(PostgresType.text, value) { $0.write(text: $1) }
    }

    package mutating func bytes(_ value: [UInt8]?) {
        append(PostgresType.bytes, value) { $0.write(raw: $1) }
    }

    /// Bound as `int8`.
    package mutating func int(_ value: Int?) {
        append(PostgresType.int8, value) { $0.write(integer: Int64($1)) }
    }

    /// Bound as `int4`.
    package mutating func int32(_ value: Int32?) {
        append(PostgresType.int4, value) { $0.write(integer: $1) }
    }

    /// Bound as `float8`.
    package mutating func double(_ value: Double?) {
        append(PostgresType.float8, value) { $0.write(integer: $1.bitPattern) }
    }

    package mutating func bool(_ value: Bool?) {
        append(PostgresType.bool, value) { $0.write(integer: $1 ? UInt8(1) : 0) }
    }

    package mutating func uuid(_ value: UUID?) {
        append(PostgresType.uuid, value) { $0.write(uuid: $1) }
    }

    /// Bound as `timestamptz`, rounded to the microsecond.
    package mutating func timestamp(_ value: Date?) {
        append(PostgresType.timestampWithZone, value) { $0.write(date: $1) }
    }

    /// JSON text bound as `json`: kept byte for byte in a `json` column, converted in a `jsonb` one.
    package mutating func json(_ value: [UInt8]?) {
        append(PostgresType.json, value) { $0.write(json: $1) }
    }

    /// JSON text bound as `jsonb`, for expressions such as `column @> $1`.
    package mutating func jsonb(_ value: [UInt8]?) {
        append(PostgresType.jsonb, value) { $0.write(jsonb: $1) }
    }

    /// An `interval` of that many seconds, rounded to the microsecond.
    package mutating func interval(seconds value: Double?) {
        append(PostgresType.interval, value) { $0.write(interval: $1) }
    }

    /// A `numeric` in decimal notation, such as `12.50`: sent as text, read by the server.
    package mutating func decimal(_ value: String?) {
        append(PostgresType.numeric, value) { $0.write(text: $1) }
        guard value != nil else { return }
        formats[formats.count - 1] = 0
        // libpq takes values in text format up to a NUL, whatever length they are given.
        bytes.append(0)
    }

    package mutating func texts(_ values: [String?]?) {
        array(PostgresType.textArray, of: PostgresType.text, values) { $0.write(text: $1) }
    }

    package mutating func ints(_ values: [Int?]?) {
        array(PostgresType.int8Array, of: PostgresType.int8, values) { $0.write(integer: Int64($1)) }
    }

    package mutating func doubles(_ values: [Double?]?) {
        array(PostgresType.float8Array, of: PostgresType.float8, values) { $0.write(integer: $1.bitPattern) }
    }

    package mutating func bools(_ values: [Bool?]?) {
        array(PostgresType.boolArray, of: PostgresType.bool, values) { $0.write(integer: $1 ? UInt8(1) : 0) }
    }

    package mutating func uuids(_ values: [UUID?]?) {
        array(PostgresType.uuidArray, of: PostgresType.uuid, values) { $0.write(uuid: $1) }
    }

    package mutating func timestamps(_ values: [Date?]?) {
        array(PostgresType.timestampWithZoneArray, of: PostgresType.timestampWithZone, values) { $0.write(date: $1) }
    }

    package mutating func jsons(_ values: [[UInt8]?]?) {
        array(PostgresType.jsonArray, of: PostgresType.json, values) { $0.write(json: $1) }
    }

    package mutating func bytesArray(_ values: [[UInt8]?]?) {
        array(PostgresType.bytesArray, of: PostgresType.bytes, values) { $0.write(raw: $1) }
    }

    // MARK: Arrays whose elements are asked for by their places, so that nobody makes an array first

    package mutating func texts(_ count: Int, _ value: (Int) -> String?) {
        array(PostgresType.textArray, of: PostgresType.text, count, value) { $0.write(text: $1) }
    }

    package mutating func ints(_ count: Int, _ value: (Int) -> Int?) {
        array(PostgresType.int8Array, of: PostgresType.int8, count, value) { $0.write(integer: Int64($1)) }
    }

    package mutating func bools(_ count: Int, _ value: (Int) -> Bool?) {
        array(PostgresType.boolArray, of: PostgresType.bool, count, value) { $0.write(integer: $1 ? UInt8(1) : 0) }
    }

    package mutating func uuids(_ count: Int, _ value: (Int) -> UUID?) {
        array(PostgresType.uuidArray, of: PostgresType.uuid, count, value) { $0.write(uuid: $1) }
    }

    package mutating func timestamps(_ count: Int, _ value: (Int) -> Date?) {
        array(PostgresType.timestampWithZoneArray, of: PostgresType.timestampWithZone, count, value) {
            $0.write(date: $1)
        }
    }

    package mutating func jsons(_ count: Int, _ value: (Int) -> ArraySlice<UInt8>?) {
        array(PostgresType.jsonArray, of: PostgresType.json, count, value) { $0.write(json: $1) }
    }

    package mutating func bytesArray(_ count: Int, _ value: (Int) -> [UInt8]?) {
        array(PostgresType.bytesArray, of: PostgresType.bytes, count, value) { $0.write(raw: $1) }
    }

    private mutating func array<T>(
        _ type: UInt32, of element: UInt32, _ count: Int, _ value: (Int) -> T?, _ write: (inout Self, T) -> Void
    ) {
        append(type, count) { bindings, count in
            let start = bindings.writeArrayHead(of: element, count: count)
            for place in 0..<count {
                guard bindings.failure == nil else { return }
                let value = value(place)
                if value == nil { bindings.bytes[start + 7] = 1 }
                bindings.write(element: value, write)
            }
        }
    }

    private mutating func array<T>(
        _ type: UInt32, of element: UInt32, _ values: [T?]?, _ write: (inout Self, T) -> Void
    ) {
        guard let values else { return append(type, nil as [T?]?) { _, _ in } }
        array(type, of: element, values.count, { values[$0] }, write)
    }

    /// Dimensions, whether it holds NULLs (set where one is met), element type, count, lower bound. Answers where it
    /// begins.
    private mutating func writeArrayHead(of element: UInt32, count: Int) -> Int {
        let start = bytes.count
        write(integer: Int32(count == 0 ? 0 : 1))
        write(integer: Int32(0))
        write(integer: element)
        guard count > 0 else { return start }
        write(integer: Int32(truncatingIfNeeded: count))
        write(integer: Int32(1))
        return start
    }

    private mutating func write<T>(element: T?, _ write: (inout Self, T) -> Void) {
        guard let element else { return self.write(integer: Int32(-1)) }
        let start = bytes.count
        self.write(integer: Int32(0))
        write(&self, element)
        let length = Int32(truncatingIfNeeded: bytes.count - start - 4)
        for place in 0..<4 { bytes[start + place] = UInt8(truncatingIfNeeded: length >> (24 - 8 * place)) }
    }

    private mutating func append<T>(_ type: UInt32, _ value: T?, _ write: (inout Self, T) -> Void) {
        let start = bytes.count
        offsets.append(value == nil ? Self.null : start)
        types.append(type)
        formats.append(1)
        if let value { write(&self, value) }
        lengths.append(Int32(truncatingIfNeeded: bytes.count - start))
        if offsets.count > Self.maxParameters { refuse("has more than \(Self.maxParameters) parameters") }
    }

    private mutating func refuse(_ what: String) {
        guard failure == nil else { return }
        failure = PostgresError(
            .invalidData, "Parameter $\(offsets.count) \(what). Nothing was sent; correct the value."
        )
    }

    /// False, and the failure noted, when that many more bytes would pass the bound.
    private mutating func hasRoom(for count: Int) -> Bool {
        if bytes.count + count <= maxBytes { return true }
        refuse("makes the statement larger than the \(maxBytes) bytes that maxParameterBytes allows")
        return false
    }
}

// The binary form of each type (Postgres sources, src/backend/utils/adt/*.c, the `…_recv` functions).
extension PostgresBindings {
    private mutating func write(integer value: some FixedWidthInteger) {
        guard hasRoom(for: value.bitWidth / 8) else { return }
        unsafe withUnsafeBytes(of: value.bigEndian) { unsafe bytes.append(contentsOf: $0) }
    }

    private mutating func write(raw value: some Collection<UInt8>) {
        guard hasRoom(for: value.count) else { return }
        bytes.append(contentsOf: value)
    }

    private mutating func write(text value: String) {
        guard hasRoom(for: value.utf8.count) else { return }
        var value = value
        let holdsNUL = value.withUTF8 { text in
            unsafe bytes.append(contentsOf: text)
            return unsafe text.contains(0)
        }
        if holdsNUL { refuse("holds a NUL character, which Postgres text cannot") }
    }

    private mutating func write(json value: some Collection<UInt8>) {
        if value.contains(0) { refuse("holds a NUL byte, which JSON cannot") }
        write(raw: value)
    }

    private mutating func write(jsonb value: [UInt8]) {
        write(integer: UInt8(1))
        write(json: value)
    }

    private mutating func write(uuid value: UUID) {
        guard hasRoom(for: 16) else { return }
        unsafe withUnsafeBytes(of: value.uuid) { unsafe bytes.append(contentsOf: $0) }
    }

    private mutating func write(date value: Date) {
        let seconds = value.timeIntervalSinceReferenceDate + PostgresEpoch.secondsBeforeReferenceDate
        write(microseconds: seconds, what: "is a date out of range")
    }

    private mutating func write(interval seconds: Double) {
        write(microseconds: seconds, what: "is an interval out of range")
        write(integer: Int32(0))
        write(integer: Int32(0))
    }

    private mutating func write(microseconds seconds: Double, what: String) {
        // The two outermost values mean infinity on the wire.
        let value = (seconds * PostgresEpoch.microsecondsPerSecond).rounded()
        guard let exact = Int64(exactly: value), exact > .min, exact < .max else {
            refuse(what)
            return write(integer: Int64(0))
        }
        write(integer: exact)
    }
}
