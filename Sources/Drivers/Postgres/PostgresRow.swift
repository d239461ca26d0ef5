internal import CLibPQ
package import FoundationEssentials

/// One row of an answer, valid only inside `PostgresStatement.row(_:)`. Columns are counted from 0.
///
/// A column of another type, a NULL where none was allowed, or a column that is not there is a `decoding` error that
/// names the column. Nothing here traps.
@safe package struct PostgresRow: ~Copyable {
    private let result: OpaquePointer
    private let index: Int32

    init(result: OpaquePointer, index: Int32) {
        unsafe self.result = unsafe result
        self.index = index
    }

    package func isNull(_ column: Int) throws(PostgresError) -> Bool {
        try check(column)
        return unsafe PQgetisnull(result, index, Int32(column)) == 1
    }

    // MARK: Values that must not be NULL

    /// Text of any kind, and values of user-defined enums.
    package func text(_ column: Int) throws(PostgresError) -> String { try present(column, try textOrNil(column)) }
    /// The bytes of a text, for which UTF-8 is the server's word.
    package func textBytes(_ column: Int) throws(PostgresError) -> [UInt8] {
        let type = try type(column)
        guard BinaryFormat.isText(type) else { throw mismatch(column, "text") }
        return try present(column, try unsafe decode(column, "text") { unsafe [UInt8]($0) })
    }
    package func bytes(_ column: Int) throws(PostgresError) -> [UInt8] { try present(column, try bytesOrNil(column)) }
    /// `int2`, `int4` or `int8`.
    package func int(_ column: Int) throws(PostgresError) -> Int { try present(column, try intOrNil(column)) }
    /// `float4` or `float8`.
    package func double(_ column: Int) throws(PostgresError) -> Double { try present(column, try doubleOrNil(column)) }
    package func bool(_ column: Int) throws(PostgresError) -> Bool { try present(column, try boolOrNil(column)) }
    package func uuid(_ column: Int) throws(PostgresError) -> UUID { try present(column, try uuidOrNil(column)) }
    /// `timestamptz`; `timestamp` and `date` are read as UTC. Infinity is a decoding error.
    package func timestamp(_ column: Int) throws(PostgresError) -> Date {
        try present(column, try timestampOrNil(column))
    }
    /// The JSON text of a `json` or `jsonb` column.
    package func json(_ column: Int) throws(PostgresError) -> [UInt8] { try present(column, try jsonOrNil(column)) }
    /// Seconds of an `interval`; one with months is a decoding error, days count 86,400 seconds.
    package func interval(_ column: Int) throws(PostgresError) -> Double {
        try present(column, try intervalOrNil(column))
    }
    /// A `numeric` in decimal notation, with all the digits the server keeps.
    package func decimal(_ column: Int) throws(PostgresError) -> String {
        try present(column, try decimalOrNil(column))
    }

    // MARK: Values that may be NULL

    package func textOrNil(_ column: Int) throws(PostgresError) -> String? {
        let type = try type(column)
        guard BinaryFormat.isText(type) else { throw mismatch(column, "text") }
        return try unsafe decode(column, "text") { unsafe BinaryFormat.text($0) }
    }

    package func bytesOrNil(_ column: Int) throws(PostgresError) -> [UInt8]? {
        try expect(column, [PostgresType.bytes], "bytea")
        return try unsafe decode(column, "bytea") { unsafe [UInt8]($0) }
    }

    package func intOrNil(_ column: Int) throws(PostgresError) -> Int? {
        try expect(column, [PostgresType.int8, PostgresType.int4, PostgresType.int2], "an integer")
        return try unsafe decode(column, "an integer") { unsafe BinaryFormat.int($0) }
    }

    package func doubleOrNil(_ column: Int) throws(PostgresError) -> Double? {
        try expect(column, [PostgresType.float8, PostgresType.float4], "a float")
        return try unsafe decode(column, "a float") { unsafe BinaryFormat.double($0) }
    }

    package func boolOrNil(_ column: Int) throws(PostgresError) -> Bool? {
        try expect(column, [PostgresType.bool], "bool")
        return try unsafe decode(column, "bool") { unsafe BinaryFormat.bool($0) }
    }

    package func uuidOrNil(_ column: Int) throws(PostgresError) -> UUID? {
        try expect(column, [PostgresType.uuid], "a uuid")
        return try unsafe decode(column, "a uuid") { unsafe BinaryFormat.uuid($0) }
    }

    package func timestampOrNil(_ column: Int) throws(PostgresError) -> Date? {
        let type = try type(column)
        if type == PostgresType.date {
            return try unsafe decode(column, "a finite date") { unsafe BinaryFormat.day($0) }
        }
        try expect(column, [PostgresType.timestampWithZone, PostgresType.timestamp], "a timestamp")
        return try unsafe decode(column, "a finite timestamp") { unsafe BinaryFormat.timestamp($0) }
    }

    package func jsonOrNil(_ column: Int) throws(PostgresError) -> [UInt8]? {
        let type = try type(column)
        try expect(column, [PostgresType.json, PostgresType.jsonb], "json")
        return try unsafe decode(column, "json") { unsafe BinaryFormat.json($0, isBinary: type == PostgresType.jsonb) }
    }

    package func intervalOrNil(_ column: Int) throws(PostgresError) -> Double? {
        try expect(column, [PostgresType.interval], "an interval")
        return try unsafe decode(column, "an interval without months") { unsafe BinaryFormat.interval($0) }
    }

    package func decimalOrNil(_ column: Int) throws(PostgresError) -> String? {
        try expect(column, [PostgresType.numeric], "numeric")
        return try unsafe decode(column, "numeric") { unsafe BinaryFormat.decimal($0) }
    }

    // MARK: Arrays (of one dimension)

    /// A NULL element is a decoding error; so is a NULL array.
    package func texts(_ column: Int) throws(PostgresError) -> [String] {
        try whole(column, try nullableTexts(column))
    }
    package func ints(_ column: Int) throws(PostgresError) -> [Int] { try whole(column, try nullableInts(column)) }
    package func uuids(_ column: Int) throws(PostgresError) -> [UUID] { try whole(column, try nullableUUIDs(column)) }

    /// `nil` when the array itself is NULL; elements may be NULL.
    package func nullableTexts(_ column: Int) throws(PostgresError) -> [String?]? {
        try unsafe array(column, "a text array", BinaryFormat.isText) { unsafe BinaryFormat.text($0) }
    }
    package func nullableInts(_ column: Int) throws(PostgresError) -> [Int?]? {
        let integers = [PostgresType.int8, PostgresType.int4, PostgresType.int2]
        return try unsafe array(column, "an integer array", { integers.contains($0) }) { unsafe BinaryFormat.int($0) }
    }
    package func nullableUUIDs(_ column: Int) throws(PostgresError) -> [UUID?]? {
        try unsafe array(column, "a uuid array", { $0 == PostgresType.uuid }) { unsafe BinaryFormat.uuid($0) }
    }
}

// How a cell is reached and what is said when it does not fit.
extension PostgresRow {
    private func check(_ column: Int) throws(PostgresError) {
        let count = unsafe Int(PQnfields(result))
        guard column >= 0, column < count else {
            throw PostgresError(
                .decoding, "Column \(column) was asked for, but the answer has \(count) columns. Correct the statement."
            )
        }
    }

    private func type(_ column: Int) throws(PostgresError) -> UInt32 {
        try check(column)
        return unsafe PQftype(result, Int32(column))
    }

    private func expect(_ column: Int, _ types: [UInt32], _ wanted: String) throws(PostgresError) {
        let type = try type(column)
        guard types.contains(type) else { throw mismatch(column, wanted) }
    }

    private func decode<T>(
        _ column: Int, _ wanted: String, _ read: (UnsafeRawBufferPointer) -> T?
    ) throws(PostgresError) -> T? {
        guard unsafe PQgetisnull(result, index, Int32(column)) == 0 else { return nil }
        let start = unsafe PQgetvalue(result, index, Int32(column))
        let count = unsafe Int(PQgetlength(result, index, Int32(column)))
        guard let value = unsafe read(UnsafeRawBufferPointer(start: start, count: count)) else {
            throw PostgresError(
                .decoding, "Column \(column) (\(label(column))) does not hold \(wanted). Correct the statement."
            )
        }
        return value
    }

    private func array<T>(
        _ column: Int, _ wanted: String, _ accepts: (UInt32) -> Bool, _ read: (UnsafeRawBufferPointer) -> T?
    ) throws(PostgresError) -> [T?]? {
        try check(column)
        return try unsafe decode(column, wanted) { unsafe BinaryFormat.array($0, accepts, read) }
    }

    private func present<T>(_ column: Int, _ value: T?) throws(PostgresError) -> T {
        guard let value else {
            throw PostgresError(
                .decoding, "Column \(column) (\(label(column))) is NULL where a value was expected."
            )
        }
        return value
    }

    private func whole<T>(_ column: Int, _ values: [T?]?) throws(PostgresError) -> [T] {
        let values = try present(column, values)
        let whole = values.compactMap { $0 }
        guard whole.count == values.count else {
            throw PostgresError(
                .decoding, "Column \(column) (\(label(column))) holds a NULL element where values were expected."
            )
        }
        return whole
    }

    private func mismatch(_ column: Int, _ wanted: String) -> PostgresError {
        let type = unsafe PQftype(result, Int32(column))
        return PostgresError(
            .decoding,
            "Column \(column) (\(label(column))) is \(PostgresType.describe(type)) but was read as \(wanted). "
                + "Correct the statement or cast the column."
        )
    }

    private func label(_ column: Int) -> String {
        guard let name = unsafe PQfname(result, Int32(column)) else { return "?" }
        return unsafe String(cString: name)
    }
}
