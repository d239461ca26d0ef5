import Testing

@testable import Contracts

@Suite struct `Governance bodies` {
    private func proposal(_ text: String) throws -> PromptProposal {
        try PromptProposal(json: try JSON(parsing: text.utf8))
    }

    @Test func `a proposal is read and written alike`() throws {
        let text = #"{"role":"developer","content":"Be good.\n","base_version":3,"reason":"It was not."}"#
        #expect(try proposal(text).json.text == text)
    }

    @Test(arguments: [
        (#"{"content":"x","base_version":0,"reason":"y"}"#, "role"),
        (#"{"role":"a.b","content":"x","base_version":0,"reason":"y"}"#, "role"),
        (#"{"role":"a","content":" \n","base_version":0,"reason":"y"}"#, "content"),
        (#"{"role":"a","content":"x","reason":"y"}"#, "base_version"),
        (#"{"role":"a","content":"x","base_version":-1,"reason":"y"}"#, "base_version"),
        (#"{"role":"a","content":"x","base_version":0}"#, "reason"),
        (#"{"role":"a","content":"x","base_version":0,"reason":""}"#, "reason"),
        (#"{"role":"a","content":"x","base_version":0,"reason":"y","approved":true}"#, "approved"),
    ])
    func `a wrong proposal names its field`(text: String, field: String) {
        #expect { try proposal(text) } throws: { ($0 as? JSONError)?.path == field }
    }

    @Test func `a prompt may have 256 KiB and no more`() throws {
        func text(_ count: Int) -> String {
            #"{"role":"a","content":"\#(String(repeating: "x", count: count))","base_version":0,"reason":"y"}"#
        }
        #expect(try proposal(text(262_144)).content.utf8.count == 262_144)
        #expect(throws: JSONError.self) { try proposal(text(262_145)) }
    }

    @Test func `rules have a version that says what they are`() throws {
        let text = #"{"max_updates_per_day":5,"cooldown_hours":2,"require_human_approval":false}"#
        let rules = try GovernanceRules(json: try JSON(parsing: text.utf8))
        #expect(rules.version == "5-2-auto" && rules.json.text == text)
        for wrong in [text.replacing("5", with: "1001"), text.replacing("false", with: "null")] {
            #expect(throws: JSONError.self) { try GovernanceRules(json: try JSON(parsing: wrong.utf8)) }
        }
    }

    @Test func `a prompt's id is a plain positive number`() {
        #expect(PromptID("7")?.number == 7)
        for wrong in ["0", "-1", "+7", "07", "2147483648", "x", ""] { #expect(PromptID(wrong) == nil, "\(wrong)") }
    }
}
