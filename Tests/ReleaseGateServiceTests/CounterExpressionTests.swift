import ReleaseGateService
import Testing

@Suite struct `Counter expressions` {
    @Test(arguments: [
        (#"a_total"#, #"a_total"#), (#" a_total{x="1"} - b_total "#, #"a_total{x="1"} - b_total"#),
        (#"a{x=~"5..",y!="-+"}+b"#, #"a{x=~"5..",y!="-+"} + b"#), (#"a{x="q\"}\\"}"#, #"a{x="q\"}\\"}"#),
    ])
    func `counters are added and subtracted`(text: String, read: String) throws {
        #expect(try CounterExpression(parsing: text).description == read)
    }

    @Test(arguments: [
        "", "rate(a_total[5m])", "sum(a)", "a{x=1}", #"a{x="1""#, #"a{x=~"("}"#, "a b", "a[5m]", "1a", #"{x="1"}"#,
    ])
    func `anything else is refused`(text: String) {
        let error = #expect(throws: GateError.self) { try CounterExpression(parsing: text) }
        #expect(error?.code == .invalid)
    }

    @Test func `a side's labels restrict every counter`() throws {
        let expression = try CounterExpression(parsing: #"a{x="1"} - b"#).restricted(to: ["track": "canary"])
        #expect(expression.description == #"a{x="1",track="canary"} - b{track="canary"}"#)
    }
}
