/// The object ids of the types the driver speaks (Postgres' `pg_type.dat`; they never change).
enum PostgresType {
    static let bool: UInt32 = 16
    static let bytes: UInt32 = 17
    static let char: UInt32 = 18
    static let name: UInt32 = 19
    static let int8: UInt32 = 20
    static let int2: UInt32 = 21
    static let int4: UInt32 = 23
    static let text: UInt32 = 25
    static let json: UInt32 = 114
    static let float4: UInt32 = 700
    static let float8: UInt32 = 701
    static let unknown: UInt32 = 705
    static let blankPadded: UInt32 = 1042
    static let varchar: UInt32 = 1043
    static let date: UInt32 = 1082
    static let timestamp: UInt32 = 1114
    static let timestampWithZone: UInt32 = 1184
    static let interval: UInt32 = 1186
    static let numeric: UInt32 = 1700
    static let uuid: UInt32 = 2950
    static let jsonb: UInt32 = 3802

    static let boolArray: UInt32 = 1000
    static let bytesArray: UInt32 = 1001
    static let int4Array: UInt32 = 1007
    static let textArray: UInt32 = 1009
    static let int8Array: UInt32 = 1016
    static let float8Array: UInt32 = 1022
    static let timestampWithZoneArray: UInt32 = 1185
    static let jsonArray: UInt32 = 199
    static let uuidArray: UInt32 = 2951

    /// Enums, domains' bases and extension types have ids from here on.
    static let firstUserDefined: UInt32 = 16384

    /// A name for messages.
    static func describe(_ type: UInt32) -> String {
        switch type {
        case bool: "bool"
        case bytes: "bytea"
        case int2, int4, int8: "an integer"
        case text, varchar, blankPadded, name: "text"
        case json, jsonb: "json"
        case float4, float8: "a float"
        case date, timestamp, timestampWithZone: "a timestamp"
        case interval: "an interval"
        case numeric: "numeric"
        case uuid: "a uuid"
        case int8Array, int4Array: "an integer array"
        case textArray: "a text array"
        case uuidArray: "a uuid array"
        default: "of type \(type)"
        }
    }
}

/// Postgres counts microseconds from 2000-01-01, Foundation seconds from 2001-01-01: 366 days lie between.
enum PostgresEpoch {
    static let secondsBeforeReferenceDate = 31_622_400.0
    static let microsecondsPerSecond = 1_000_000.0
    static let microsecondsPerDay: Int64 = 86_400_000_000
}
