import Foundation
import Postgres
import TestSupport
import Testing

@Suite(.timeLimit(.minutes(10))) struct PostgresTypesTests {
    /// Every type there and back in one row.
    struct Everything: PostgresStatement, Equatable {
        static let sql = """
            SELECT $1::text, $2::bytea, $3::bigint, $4::int, $5::float8, $6::bool, $7::uuid, $8::timestamptz, $9::json,
                $10::jsonb, $11::interval, $12::numeric
            """
        static let isReadOnly = true
        var text: String?
        var bytes: [UInt8]?
        var int: Int?
        var int32: Int32?
        var double: Double?
        var bool: Bool?
        var uuid: UUID?
        var timestamp: Date?
        var json: [UInt8]?
        var jsonb: [UInt8]?
        var interval: Double?
        var decimal: String?

        func bind(to bindings: inout PostgresBindings) {
            bindings.text(text)
            bindings.bytes(bytes)
            bindings.int(int)
            bindings.int32(int32)
            bindings.double(double)
            bindings.bool(bool)
            bindings.uuid(uuid)
            bindings.timestamp(timestamp)
            bindings.json(json)
            bindings.jsonb(jsonb)
            bindings.interval(seconds: interval)
            bindings.decimal(decimal)
        }

        static func row(_ row: borrowing PostgresRow) throws(PostgresError) -> Everything {
            Everything(
                text: try row.textOrNil(0), bytes: try row.bytesOrNil(1), int: try row.intOrNil(2),
                int32: try row.intOrNil(3).map { Int32($0) }, double: try row.doubleOrNil(4),
                bool: try row.boolOrNil(5), uuid: try row.uuidOrNil(6), timestamp: try row.timestampOrNil(7),
                json: try row.jsonOrNil(8), jsonb: try row.jsonOrNil(9), interval: try row.intervalOrNil(10),
                decimal: try row.decimalOrNil(11)
            )
        }
    }

    /// Every array type there; what can be read as an array back, the rest as the server's text.
    struct Arrays: PostgresStatement {
        static let sql = """
            SELECT $1::text[], $2::bigint[], $3::uuid[], $4::timestamptz[]::text, $5::bool[]::text, $6::json[]::text,
                $7::bytea[]::text, $8::float8[]::text
            """
        var texts: [String?]?
        var ints: [Int?]?
        var uuids: [UUID?]?
        var timestamps: [Date?]?
        var bools: [Bool?]?
        var jsons: [[UInt8]?]?
        var bytes: [[UInt8]?]?
        var doubles: [Double?]?

        func bind(to bindings: inout PostgresBindings) {
            bindings.texts(texts)
            bindings.ints(ints)
            bindings.uuids(uuids)
            bindings.timestamps(timestamps)
            bindings.bools(bools)
            bindings.jsons(jsons)
            bindings.bytesArray(bytes)
            bindings.doubles(doubles)
        }

        struct Answer: Equatable {
            var texts: [String?]?
            var ints: [Int?]?
            var uuids: [UUID?]?
            var rest: [String?]
        }

        static func row(_ row: borrowing PostgresRow) throws(PostgresError) -> Answer {
            var rest: [String?] = []
            for column in 3...7 { rest.append(try row.textOrNil(column)) }
            return Answer(
                texts: try row.nullableTexts(0), ints: try row.nullableInts(1), uuids: try row.nullableUUIDs(2),
                rest: rest
            )
        }
    }

    @Test(arguments: [
        Everything(),
        Everything(
            text: "", bytes: [], int: 0, int32: 0, double: 0, bool: false, uuid: UUID(),
            timestamp: Date(timeIntervalSince1970: 0), json: Array("null".utf8), jsonb: Array("{}".utf8), interval: 0,
            decimal: "0"
        ),
        Everything(
            text: "Zażółć 漢字 👩‍👩‍👧‍👦 \u{10FFFF}", bytes: Array(0...255), int: .max, int32: .min,
            double: -.greatestFiniteMagnitude, bool: true, uuid: UUID(), timestamp: Date(timeIntervalSince1970: 1.5),
            json: Array(#"{"b":1, "a" : 2,"a":3}"#.utf8), jsonb: Array(#"{"a": [1, 2.50]}"#.utf8), interval: -90.25,
            decimal: "-12345678901234567890.00012300"
        ),
        Everything(
            text: "x", bytes: [0], int: .min, int32: .max, double: .infinity, bool: true, uuid: UUID(),
            timestamp: Date(timeIntervalSince1970: 1_700_000_000.123456), json: Array("[]".utf8),
            jsonb: Array("1".utf8), interval: 100_000_000, decimal: "0.0001"
        ),
    ])
    func `values come back as they went`(values: Everything) async throws {
        let back = try await withFreshPool { try await $0.execute(values) }
        #expect(back.count == 1)
        var expected = values
        // A Date is a Double of seconds; the wire keeps microseconds.
        if let sent = values.timestamp, let received = back.first?.timestamp {
            #expect(abs(sent.timeIntervalSince(received)) < 0.000_001)
            expected.timestamp = received
        }
        #expect(back.first == expected)
    }

    @Test func `a value of one megabyte comes back whole`() async throws {
        let values = Everything(
            text: String(repeating: "é", count: 1 << 19), bytes: (0..<(1 << 20)).map { UInt8(truncatingIfNeeded: $0) }
        )
        let back = try await withFreshPool { try await $0.execute(values) }
        #expect(back == [values])
    }

    @Test func `arrays come back as they went, with NULLs and empty`() async throws {
        let id = UUID()
        let date = Date(timeIntervalSince1970: 1_700_000_000)
        try await withFreshPool { pool in
            let full = try await pool.execute(
                Arrays(
                    texts: ["a", nil, "", "é,{}\""], ints: [1, nil, .min], uuids: [id, nil], timestamps: [date, nil],
                    bools: [true, false, nil], jsons: [Array("1".utf8), nil], bytes: [[1, 255], [], nil],
                    doubles: [1.5, nil]
                ))
            #expect(
                full.first
                    == Arrays.Answer(
                        texts: ["a", nil, "", "é,{}\""], ints: [1, nil, .min], uuids: [id, nil],
                        rest: [
                            #"{"2023-11-14 22:13:20+00",NULL}"#, "{t,f,NULL}", "{1,NULL}", #"{"\\x01ff","\\x",NULL}"#,
                            "{1.5,NULL}",
                        ]
                    ))
            let empty = try await pool.execute(
                Arrays(
                    texts: [], ints: [], uuids: [], timestamps: [], bools: [], jsons: [], bytes: [], doubles: []
                ))
            #expect(
                empty.first
                    == Arrays.Answer(
                        texts: [], ints: [], uuids: [], rest: ["{}", "{}", "{}", "{}", "{}"]
                    ))
            let none = try await pool.execute(Arrays())
            #expect(none.first == Arrays.Answer(rest: [nil, nil, nil, nil, nil]))
        }
    }

    @Test func `values that cannot be sent are refused before the wire`() async throws {
        let refused = [
            Everything(text: "a\0b"), Everything(timestamp: Date(timeIntervalSince1970: 1e300)),
            Everything(timestamp: Date(timeIntervalSince1970: .nan)), Everything(json: [0]),
            Everything(interval: .infinity), Everything(bytes: [UInt8](repeating: 1, count: 2001)),
            Everything(text: String(repeating: "x", count: 1990), bytes: [UInt8](repeating: 1, count: 20)),
        ]
        try await withFreshPool(
            "",
            {
                $0.maxConnections = 1; $0.maxParameterBytes = 2000
            }
        ) { pool in
            let before = try await pool.execute(BackendID())
            for values in refused {
                let error = await failure { try await pool.execute(values) }
                #expect(error?.code == .invalidData)
                #expect(error?.sqlState == nil)
                #expect(error?.message.contains("Nothing was sent") == true)
            }
            let array = await failure { try await pool.execute(Arrays(texts: ["fine", "not\0fine"])) }
            #expect(array?.message.contains("$1") == true)
            #expect(try await pool.execute(BackendID()) == before)
        }
    }

    @Test func `a value refused inside a transaction leaves nothing behind`() async throws {
        try await withFreshPool(Insert.schema, { $0.maxConnections = 1 }) { pool in
            let before = try await pool.execute(BackendID())
            let error = await failure {
                try await pool.transaction { transaction in
                    try transaction.execute(Insert(key: 1))
                    try transaction.execute(Everything(text: "\0"))
                }
            }
            #expect(error?.code == .invalidData)
            #expect(try await pool.execute(Keys()) == [])
            #expect(try await pool.execute(BackendID()) == before)
        }
    }

    @Test func `data the server refuses is invalid data`() async throws {
        let error = try await withFreshPool { pool in
            await failure { try await pool.execute(Everything(jsonb: Array("{".utf8))) }
        }
        #expect(error?.code == .invalidData)
        #expect(error?.sqlState == "22P02")
    }

    @Test func `a column read as another type names the column`() async throws {
        struct WrongType: PostgresStatement {
            static let sql = "SELECT 1::bigint AS amount"
            static func row(_ row: borrowing PostgresRow) throws(PostgresError) -> String { try row.text(0) }
        }
        struct Null: PostgresStatement {
            static let sql = "SELECT NULL::bigint AS amount"
            static func row(_ row: borrowing PostgresRow) throws(PostgresError) -> Int { try row.int(0) }
        }
        struct Missing: PostgresStatement {
            static let sql = "SELECT 1::bigint AS amount"
            static func row(_ row: borrowing PostgresRow) throws(PostgresError) -> Int { try row.int(-1) + row.int(7) }
        }
        struct NullElement: PostgresStatement {
            static let sql = "SELECT ARRAY['a', NULL] AS names"
            static func row(_ row: borrowing PostgresRow) throws(PostgresError) -> [String] { try row.texts(0) }
        }
        struct Infinity: PostgresStatement {
            static let sql = "SELECT 'infinity'::timestamptz AS due"
            static func row(_ row: borrowing PostgresRow) throws(PostgresError) -> Date { try row.timestamp(0) }
        }
        try await withFreshPool { pool in
            let errors = [
                await failure { try await pool.execute(WrongType()) }, await failure { try await pool.execute(Null()) },
                await failure { try await pool.execute(Missing()) },
                await failure { try await pool.execute(NullElement()) },
                await failure { try await pool.execute(Infinity()) },
            ]
            #expect(errors.allSatisfy { $0?.code == .decoding })
            let texts = errors.map { $0?.message ?? "" }
            #expect(texts[0].contains("amount") && texts[0].contains("an integer") && texts[0].contains("text"))
            #expect(texts[1].contains("amount") && texts[1].contains("NULL"))
            #expect(texts[3].contains("names"))
            #expect(texts[4].contains("due"))
        }
    }

    @Test func `narrow integers, floats, dates and enums are read`() async throws {
        struct Narrow: PostgresStatement {
            static let sql = """
                SELECT 7::int2, 8::int4, 1.5::float4, '2001-01-02'::date, '2001-01-01 00:00:01'::timestamp,
                    'sad'::mood, 'x'::varchar(3), 'name'::name, ARRAY[1, 2]::int4[], '1 day 2 seconds'::interval
                """
            static func row(_ row: borrowing PostgresRow) throws(PostgresError) -> [String] {
                [
                    "\(try row.int(0))", "\(try row.int(1))", "\(try row.double(2))",
                    "\(try row.timestamp(3).timeIntervalSinceReferenceDate)",
                    "\(try row.timestamp(4).timeIntervalSinceReferenceDate)", try row.text(5), try row.text(6),
                    try row.text(7), "\(try row.ints(8))", "\(try row.interval(9))",
                ]
            }
        }
        let schema = "CREATE TYPE mood AS ENUM ('sad', 'happy')"
        let rows = try await withFreshPool(schema) { try await $0.execute(Narrow()) }
        #expect(rows.first == ["7", "8", "1.5", "86400.0", "1.0", "sad", "x", "name", "[1, 2]", "86402.0"])
    }
}

@Suite(.timeLimit(.minutes(10))) struct `Postgres configuration` {
    @Test func `whatever prints it shows no connection string`() {
        struct Holder {
            let configuration: PostgresConfiguration
            let more: [PostgresConfiguration?]
        }
        let configuration = PostgresConfiguration(
            connectionString: "host=h user=u password=s3cret-word", applicationName: "app")
        let holder = Holder(configuration: configuration, more: [configuration])
        var dumped = ""
        dump(holder, to: &dumped)
        for text in ["\(holder)", String(reflecting: holder), "\(configuration)", dumped] {
            #expect(!text.contains("s3cret-word") && text.contains("app"), "\(text)")
        }
    }
}
