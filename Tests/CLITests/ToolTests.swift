import Foundation
import Testing

@testable import golden

@Suite(.timeLimit(.minutes(1))) struct ToolTests {
    static let environment = ["PATH": "/usr/bin:/bin"]

    /// As `golden` itself does at its start.
    init() { signal(SIGPIPE, SIG_IGN) }

    @Test func `a program gets its input and gives its output`() async {
        let outcome = await Tool.run(["cat"], input: "one\ntwo\n", environment: Self.environment)
        #expect(outcome.isSuccess && outcome.output == "one\ntwo\n", "\(outcome)")
        let nothing = await Tool.run(["cat"], environment: Self.environment)
        #expect(nothing.isSuccess && nothing.output.isEmpty, "\(nothing)")
    }

    /// More than a pipe holds, so that somebody has to read it.
    @Test(arguments: ["exit 0", "exec <&-; sleep 0.2; exit 7", "read first; echo $first; exit 7"])
    func `a program that does not read its input ends as it says`(script: String) async {
        let input = "first\n" + String(repeating: "x", count: 1 << 20)
        let outcome = await Tool.run(["sh", "-c", script], input: input, environment: Self.environment)
        #expect(outcome.isSuccess == script.hasSuffix("0"), "\(outcome)")
        #expect(outcome.output == (script.hasPrefix("read") ? "first\n" : ""))
    }

    @Test func `a program that is not there says so`() async {
        let outcome = await Tool.run(["no-such-program"], input: "x", environment: Self.environment)
        #expect(!outcome.isSuccess && outcome.output.contains("no-such-program"), "\(outcome)")
    }
}
