import Contracts
import FoundationEssentials
import Testing

@Suite struct `Resolutions` {
    private static func read(_ text: String, canceledBy: String? = nil) throws -> Resolution {
        var body = try JSONReader(JSON(parsing: text.utf8))
        let resolution = try Resolution(from: &body, canceledBy: canceledBy)
        try body.refuseUnknown()
        return resolution
    }

    static let whole = [
        #"{"resolution":"retry"}"#, #"{"resolution":"retry","plan":{"a":[1]}}"#,
        #"{"resolution":"reassign","plan":1,"role":"tester"}"#, #"{"resolution":"lower_scope","plan":{"note":"less"}}"#,
        #"{"resolution":"raise_deadline","timeout_seconds":60}"#,
        #"{"resolution":"raise_deadline","plan":{},"timeout_seconds":2592000}"#, #"{"resolution":"approve"}"#,
        #"{"resolution":"reject","reason":"no"}"#, #"{"resolution":"cancel","reason":"no"}"#,
    ]

    @Test(arguments: whole)
    func `a resolution is written as it was read`(text: String) throws {
        #expect(try Self.read(text).json.text == text)
    }

    /// (body, the field that is at fault)
    static let faults = [
        ("{}", "resolution"), (#"{"resolution":"forget"}"#, "resolution"), (#"{"resolution":"reassign"}"#, "role"),
        (#"{"resolution":"reassign","role":"a.b"}"#, "role"), (#"{"resolution":"retry","role":"tester"}"#, "role"),
        (#"{"resolution":"lower_scope"}"#, "plan"), (#"{"resolution":"approve","plan":{}}"#, "plan"),
        (#"{"resolution":"raise_deadline"}"#, "timeout_seconds"),
        (#"{"resolution":"raise_deadline","timeout_seconds":0}"#, "timeout_seconds"),
        (#"{"resolution":"raise_deadline","timeout_seconds":2592001}"#, "timeout_seconds"),
        (#"{"resolution":"retry","timeout_seconds":60}"#, "timeout_seconds"),
        (#"{"resolution":"reject"}"#, "reason"), (#"{"resolution":"cancel"}"#, "reason"),
        (#"{"resolution":"reject","reason":""}"#, "reason"), (#"{"resolution":"retry","reason":"r"}"#, "reason"),
        (#"{"resolution":"retry","plan":"\#(String(repeating: "x", count: 16 * 1024))"}"#, "plan"),
    ]

    @Test(arguments: faults.indices)
    func `a resolution that is not whole names the field`(index: Int) {
        let (text, field) = Self.faults[index]
        let error = #expect(throws: JSONError.self) { try Self.read(text) }
        #expect(error?.path == field, "\(text.prefix(80))")
    }

    @Test func `who cancels need not say why`() throws {
        #expect(try Self.read(#"{"resolution":"cancel"}"#, canceledBy: "ada") == .cancel(reason: "canceled by ada"))
    }

    @Test func `work asks for its report where reviews and analyses go, and nowhere else`() {
        let id = "0190a1b2-c3d4-7e5f-8a9b-0c1d2e3f4a5b"
        for text in ["prc.\(id).response", "supervisor.analysis.\(id)"] { #expect(Subject(reply: text)?.text == text) }
        for text in [
            "", "supervisor.escalation", "supervisor.resolution.\(id)", "supervisor.analysis.*",
            "supervisor.analysis.x",
            "supervisor.analysis.\(id.uppercased())", "prc.\(id).decision", "results.developer.\(id)",
            "control.cancel.\(id)",
        ] { #expect(Subject(reply: text) == nil, "\(text)") }
    }
}
