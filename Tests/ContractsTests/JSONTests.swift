import Contracts
import Testing

@Suite struct `JSON text` {
    @Test(arguments: [
        "{}", "[]", "null", "true", "-0.5e+10", "\"\"", " { \"a\" : [ 1 , 2 ] } ", "\"\\u00e9 \\uD83D\\uDE00 é 😀\"",
        "{\"a\":{\"b\":[[[]]]},\"c\":\"\\\"}\"}",
    ])
    func `valid texts are kept byte for byte`(text: String) throws {
        let json = try JSON(parsing: text.utf8)
        #expect(json.text == text.trimmingPrefix(" ").description.trimmedEnd)
    }

    @Test(arguments: [
        ("", JSONError.Code.malformed), ("{", .malformed), ("{\"a\":1,}", .malformed), ("[1 2]", .malformed),
        ("01", .malformed), ("1.", .malformed), ("+1", .malformed), ("nul", .malformed), ("{} {}", .malformed),
        ("{a:1}", .malformed), ("'a'", .malformed), ("\"\t\"", .malformed), ("\"\\x\"", .malformed),
        ("\"\\u12\"", .malformed), ("\"\\u0000\"", .nulInText), ("\"\\uD800\"", .badUTF8), ("\"\\uDC00\"", .badUTF8),
        ("\"\\uD800\\u0041\"", .badUTF8), ("{\"a\":1,\"a\":2}", .duplicateKey),
        ("{\"a\":1,\"\\u0061\":2}", .duplicateKey),
    ])
    func `invalid texts are refused with their reason`(text: String, code: JSONError.Code) {
        #expect { try JSON(parsing: text.utf8) } throws: { ($0 as? JSONError)?.code == code }
    }

    @Test(
        arguments: [
            [0x22, 0xC0, 0x80, 0x22], [0x22, 0xED, 0xA0, 0x80, 0x22], [0x22, 0xF5, 0x80, 0x80, 0x80, 0x22],
            [0x22, 0xE2, 0x82, 0x22], [0x22, 0x80, 0x22], [0x22, 0xF0, 0x80, 0x80, 0x80, 0x22],
        ] as [[UInt8]])
    func `bytes that are not UTF-8 are refused`(bytes: [UInt8]) {
        #expect { try JSON(parsing: bytes) } throws: { ($0 as? JSONError)?.code == .badUTF8 }
    }

    @Test func `nesting is bounded`() throws {
        let deep = { String(repeating: "[", count: $0) + String(repeating: "]", count: $0) }
        _ = try JSON(parsing: deep(JSONScanner.maxDepth).utf8)
        #expect { try JSON(parsing: deep(100_000).utf8) } throws: { ($0 as? JSONError)?.code == .tooDeep }
    }

    @Test func `fields, elements and scalars are read one level at a time`() throws {
        let json = try JSON(parsing: #"{ "a\n" : "x\"}y", "b":[1,{"c":[2]},"]"], "d":-7 , "e":false,"f":1.5e3}"#.utf8)
        let fields = try #require(json.fields)
        #expect(fields.map(\.name) == ["a\n", "b", "d", "e", "f"])
        #expect(fields[0].value.string == "x\"}y")
        #expect(fields[1].value.array?.map(\.text) == ["1", #"{"c":[2]}"#, #""]""#])
        #expect(fields[2].value.int == -7)
        #expect(fields[3].value.bool == false)
        #expect(fields[4].value.double == 1500)
        #expect(fields[4].value.int == nil)
    }

    @Test func `what the writer writes is valid and reads back`() throws {
        let text = "quote \" back \\ tab \t bell \u{07} é 😀"
        let json = JSONWriter.object {
            $0.field("text", text)
            $0.field("n", -3)
            $0.field("raw", JSON.emptyObject)
            $0.field("list", ["a", "b"])
            $0.field("nothing", Double.nan)
            $0.field("nested", object: { $0.field("x", true) })
        }
        let again = try JSON(parsing: json.bytes)
        #expect(again == json)
        #expect(again.fields?.first?.value.string == text)
    }

    /// RFC 8785, section 3.2.3 and appendix B.
    @Test(arguments: [
        (#"{"b":1,"a":[ true , null ]}"#, #"{"a":[true,null],"b":1}"#),
        (
            #"{"\u20ac":1,"\r":2,"\ufb33":3,"1":4,"\ud83d\ude00":5,"\u0080":6,"\u00f6":7}"#,
            "{\"\\r\":2,\"1\":4,\"\u{80}\":6,\"\u{f6}\":7,\"\u{20ac}\":1,\"\u{1F600}\":5,\"\u{fb33}\":3}"
        ),
        (
            "[333333333.33333329,1E30,4.50,2e-3,0.000000000000000000000000001]",
            "[333333333.3333333,1e+30,4.5,0.002,1e-27]"
        ),
        (
            "[1e21,1e20,123456789012345680000,0.000001,1e-7,-0,1.0]",
            "[1e+21,100000000000000000000,123456789012345680000,0.000001,1e-7,0,1]"
        ),
        (
            "[-9223372036854775808,-9223372036854775809,9223372036854775807,-9007199254740991,1e308]",
            "[-9223372036854776000,-9223372036854776000,9223372036854776000,-9007199254740991,1e+308]"
        ),
    ])
    func `the canonical form is that of RFC 8785`(text: String, canonical: String) throws {
        #expect(String(decoding: try JSON(parsing: text.utf8).canonical, as: UTF8.self) == canonical)
    }
}

extension String {
    fileprivate var trimmedEnd: String {
        var text = self
        while text.last == " " { text.removeLast() }
        return text
    }
}
