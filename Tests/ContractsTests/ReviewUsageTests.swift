import Contracts
import Testing

@Suite struct `Review usage` {
    @Test func `each attempt at each seat counts once, with the most it said`() throws {
        var usage = ReviewUsage()
        let (security, tester) = (AgentRole(literal: "security"), AgentRole(literal: "tester"))
        let reports: [(AgentRole, Int, Int, isNews: Bool)] = [
            (security, 1, 100, true), (security, 1, 100, false), (security, 1, 90, false), (security, 1, 120, true),
            (security, 2, 7, true), (tester, 1, 0, false), (tester, 1, 3, true),
        ]
        for (role, attempt, tokens, isNews) in reports {
            let isNoted = usage.note(tokens, of: role, attempt: attempt)
            #expect(isNoted == isNews, "\(role) \(attempt) \(tokens)")
        }
        #expect(usage.total == 130)
        #expect(usage.json.text == #"{"security.1":120,"security.2":7,"tester.1":3}"#)
        #expect(try ReviewUsage(json: usage.json) == usage)
        #expect(try ReviewUsage(json: .emptyObject).total == 0)
    }

    @Test(arguments: ["[]", "7", #"{"security.1":"much"}"#])
    func `what is no usage is refused`(_ text: String) throws {
        let json = try JSON(parsing: text.utf8)
        #expect(throws: JSONError.self) { try ReviewUsage(json: json) }
    }
}
