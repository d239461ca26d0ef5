import Contracts
import ReleaseGateService
import Testing

@Suite("YAML files", .timeLimit(.minutes(10))) struct YAMLDocumentTests {
    @Test(arguments: ["x: [", "a: &a [*a]", "---\nkind: SLO\n---\nx: [", "a: *nothing", "\tkey: 1"])
    func `what cannot be read is refused, also behind what can`(text: String) {
        let error = #expect(throws: GateError.self) { try YAMLDocument.parse(text, from: "gate.yaml") }
        #expect(error?.code == .invalid && error?.message.contains("gate.yaml") == true)
    }

    @Test func `documents are read in their order, empty ones left out`() throws {
        let documents = try YAMLDocument.parse("a: 1\n---\n---\nb: [yes, \"2\", null]\n", from: "gate.yaml")
        #expect(documents.map(\.text) == [#"{"a":1}"#, #"{"b":["yes","2",null]}"#])
    }
}
