import AgentWorkerCore
import Contracts
import Testing

@Suite
struct CommandOutcomeTests {
    @Test(arguments: ["{\"a\": 1}", "[]", "null", "\"text\"\n", " 17 ", "true"])
    func `one JSON value on standard output is the result`(_ output: String) throws {
        let json = try JSON(parsing: Array(output.utf8))
        let body = CommandOutcome.report(.exited(0), output: Array(output.utf8), stderr: "noise")
        #expect(body == .completed(output: json, usage: nil))
    }

    @Test(arguments: ["", "done", "{} {}", "{\"a\": 1", "\u{FEFF}{}", "{\"a\":\"\\u0000\"}"])
    func `anything else on standard output is a permanent failure`(_ output: String) {
        let body = CommandOutcome.report(.exited(0), output: Array(output.utf8), stderr: "")
        #expect(failure(body)?.code == "bad_output")
        #expect(failure(body)?.isRetryable == false)
    }

    @Test(
        arguments: [
            (.exited(1), "exit_1", false), (.exited(75), "temporary_failure", true), (.exited(127), "exit_127", false),
            (.signaled(9), "signal_9", true), (.signaled(11), "signal_11", true),
            (.outputTooLarge, "output_too_large", false),
        ] as [(CommandOutcome.End, String, Bool)]
    )
    func `every other end has its code`(_ end: CommandOutcome.End, _ code: String, _ isRetryable: Bool) {
        let body = CommandOutcome.report(end, output: Array("{}".utf8), stderr: "")
        #expect(failure(body)?.code == code)
        #expect(failure(body)?.isRetryable == isRetryable)
    }

    @Test func `exit 65 rejects with what the program said`() {
        let body = CommandOutcome.report(.exited(65), output: [], stderr: "\n  no such file: x.log\n")
        #expect(body == .rejected(reason: "The program refused the input: no such file: x.log"))
    }

    @Test func `exit 77 asks how to go on with what the program said`() {
        let body = CommandOutcome.report(.exited(77), output: [], stderr: "two specifications contradict\n")
        #expect(body == .escalated(reason: "The program asks how to go on: two specifications contradict"))
    }

    @Test func `a result at the bound passes and one beyond it does not`() {
        let bound = AgentReport.outputBytesMax
        func text(_ count: Int) -> [UInt8] { Array("\"\(String(repeating: "x", count: count - 2))\"".utf8) }
        guard case .completed = CommandOutcome.report(.exited(0), output: text(bound), stderr: "") else {
            Issue.record("refused")
            return
        }
        let beyond = CommandOutcome.report(.exited(0), output: text(bound + 1), stderr: "")
        #expect(beyond == CommandOutcome.outputTooLarge(nil))
    }

    @Test(arguments: ["x", "ä", "漢", "👩‍👩‍👧"])
    func `a failure's message keeps the end of what was said and fits its bound`(_ letter: String) {
        let said = String(repeating: letter, count: 5000) + " THE END"
        let message = failure(CommandOutcome.report(.exited(3), output: [], stderr: said))?.message ?? ""
        #expect(message.hasPrefix("The program ended with code 3: "))
        #expect(message.hasSuffix("THE END"))
        #expect(message.utf8.count <= 4096)
    }

    @Test func `usage travels with the result`() throws {
        let body = CommandOutcome.report(.exited(0), output: Array("1".utf8), stderr: "", usage: .init(tokens: 7))
        #expect(body == .completed(output: try JSON(parsing: Array("1".utf8)), usage: .init(tokens: 7)))
    }

    private func failure(_ body: AgentReport.Body) -> AgentReport.Failure? {
        if case .failed(let failure) = body { failure } else { nil }
    }
}
