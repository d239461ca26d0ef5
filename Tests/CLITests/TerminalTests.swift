import Contracts
import Foundation
import Testing

@testable import golden

@Suite(.timeLimit(.minutes(5))) struct `What people see` {
    @Test func `columns are as wide as their widest cell and nothing trails`() {
        var table = Table("NAME", "STATE")
        table.add("a", "ready")
        table.add(.init("longer-name", .bold), "gone")
        #expect(table.lines { text, _ in text } == ["NAME         STATE", "a            ready", "longer-name  gone"])
    }

    @Test(arguments: ["\u{1B}[31mred", "a\nb", "tab\there", "\u{202E}mirrored", "\u{2028}line"])
    func `control characters of others never reach the terminal`(text: String) {
        let shown = Table.printable(text)
        #expect(shown.contains("\u{FFFD}"))
        #expect(!shown.unicodeScalars.contains { $0.value < 0x20 || $0.value == 0x202E || $0.value == 0x2028 })
    }

    @Test func `JSON for programs is the same value without what controls a terminal`() throws {
        let texts = ["\u{7F}\u{85}\u{9B}2J\u{202E}\u{2066}\u{FEFF}\u{2028}\u{E0001}", "Grüße, 世界 🎉"]
        let json = JSONWriter.array { for text in texts { $0.element(text) } }
        let shown = Console.inert(json.text)
        let isControl = { (scalar: Unicode.Scalar) in Table.printable(String(scalar)) == "\u{FFFD}" }
        #expect(!shown.unicodeScalars.contains(where: isControl))
        #expect(try JSON(parsing: Array(shown.utf8)).array?.map(\.string) == texts)
        #expect(Console.inert("{\n  \"a\": 1\n}") == "{\n  \"a\": 1\n}")
    }

    @Test func `letters of any script stay as they are`() {
        #expect(Table.printable("Grüße, 世界 🎉") == "Grüße, 世界 🎉")
    }

    @Test(
        arguments: [
            (0.0, "0 ms"), (0.85, "850 ms"), (4.26, "4.2 s"), (59.9, "59 s"), (185, "3 min 5 s"), (7800, "2 h 10 min"),
            (273_600, "3 d 4 h"), (120, "2 min"),
        ] as [(Double, String)]
    )
    func `spans read naturally`(seconds: Double, text: String) {
        #expect(Spans.text(seconds: seconds) == text)
    }

    @Test(
        arguments: [
            ("90", 90), ("90s", 90), ("15m", 900), ("2h", 7200), ("7d", 604_800), ("0s", nil), ("-5m", nil), ("", nil),
            ("m", nil), ("1.5h", nil), ("9223372036854775807d", nil), ("5w", nil), ("9223372036854775807", nil),
            ("3650d", 315_360_000), ("3651d", nil),
        ] as [(String, Int?)]
    )
    func `times on the command line are read or refused`(text: String, seconds: Int?) {
        #expect(Spans.seconds(text) == seconds)
    }

    @Test func `JSON is broken over lines only where it is deep or long`() throws {
        let json = try JSON(parsing: Array(#"{"a":{"b":1},"c":[1,2],"d":{},"e":"x \" y"}"#.utf8))
        #expect(
            PrettyJSON.text(json) == """
                {
                  "a": { "b": 1 },
                  "c": [1, 2],
                  "d": {},
                  "e": "x \\" y"
                }
                """
        )
        #expect(try JSON(parsing: Array(PrettyJSON.text(json).utf8)).canonical == json.canonical)
    }

    @Test func `an event's line holds what people ask for`() throws {
        let data = try JSON(parsing: Array(#"{"agent":"echo-1","message":"50 of 100\u001b[2J","other":{}}"#.utf8))
        let id = try #require(TaskID("0198c5a2-0000-7000-8000-000000000000"))
        let event = TaskEvent(
            task: id, tenant: TenantID(literal: "t"), sequence: 3, kind: .progress, at: Date(timeIntervalSince1970: 0),
            attempt: 1, data: data
        )
        #expect(TaskView.detail(event) == "50 of 100\u{FFFD}[2J · by echo-1")
        #expect(TaskView.clock(1.0426) == "+  1.043 s")
        #expect(TaskView.clock(12345.6) == "+12345.600 s")
    }

    @Test func `a review's lines say what was decided, in which round and why`() throws {
        let id = try #require(TaskID("0198c5a2-0000-7000-8000-000000000000"))
        func detail(_ kind: TaskEvent.Kind, _ data: String) throws -> String {
            TaskView.detail(
                TaskEvent(
                    task: id, tenant: TenantID(literal: "t"), sequence: 3, kind: kind,
                    at: Date(timeIntervalSince1970: 0), attempt: 1, data: try JSON(parsing: data.utf8)))
        }
        let asked = #"{"stage":"review","session_id":"s","round":1,"author":"dev-1","deadline":"d"}"#
        #expect(try detail(.reviewRequested, asked) == "round 1 · review · by dev-1 · session s")
        let decided =
            #"{"session_id":"s","round":1,"decision":"rejected","score":0.3,"votes":3,"reason":"Too little."}"#
        #expect(try detail(.reviewDecided, decided) == "round 1 · rejected · Too little.")
        let back = #"{"round":1,"rounds_left":2,"reason":"Too little.","role":"developer","plan":{}}"#
        #expect(try detail(.reworking, back) == "round 1 · Too little. · for developer")
    }

    @Test func `every kind of event and state has its word and look`() {
        for kind in TaskEvent.Kind.allCases { #expect(!TaskView.words(kind).isEmpty) }
        for state in TaskState.allCases { #expect(TaskDocument.style(of: state.rawValue) != nil) }
        #expect(TaskDocument.style(of: "a state of tomorrow") == nil)
    }
}
