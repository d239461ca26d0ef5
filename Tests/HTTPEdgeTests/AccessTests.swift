internal import Contracts
import Testing

/// The table of who may do what, and trace contexts.
@Suite(.timeLimit(.minutes(5))) struct AccessTests {
    @Test func `each role may do what the table says and nothing else`() {
        let expected: [Role: Set<Permission>] = [
            .admin: Set(Permission.allCases),
            .operator: [
                .taskCreate, .taskRead, .taskCancel, .agentRead, .budgetUse, .budgetRead, .dlqRead, .dlqReplay,
                .breakerRead, .webhookRead, .webhookManage,
                .breakerReset, .auditRead, .limitsRead,
                .learningRead, .learningPropose,
                .reviewRead, .reviewVote,
                .taskApprove, .workflowRead, .workflowConfigure, .escalationRead, .escalationResolve,
                .sandboxExecute, .sandboxRead, .sandboxCancel,
            ],
            .developer: [
                .taskCreate, .taskRead, .taskCancel, .agentRead, .budgetUse, .budgetRead, .breakerRead, .webhookRead,
                .webhookManage, .reviewRead, .reviewVote, .workflowRead, .escalationRead,
                .sandboxExecute, .sandboxRead, .sandboxCancel,
            ],
            .observer: [
                .taskRead, .agentRead, .budgetRead, .breakerRead, .webhookRead, .reviewRead, .workflowRead,
                .escalationRead, .sandboxRead,
            ],
            .agent: [
                .taskCreate, .taskRead, .agentRead, .budgetUse, .budgetRead, .reviewRead, .reviewVote, .workflowRead,
                .sandboxExecute, .sandboxRead, .sandboxCancel,
            ],
            .anonymous: [],
        ]
        for role in Role.allCases {
            for permission in Permission.allCases {
                #expect(role.may(permission) == expected[role]?.contains(permission), "\(role) \(permission)")
            }
        }
    }

    @Test func `no token makes somebody anonymous or unknown`() {
        #expect(Role(claim: "anonymous") == nil)
        #expect(Role(claim: "root") == nil)
        #expect(Role(claim: "Admin") == nil)
        #expect(Role(claim: "operator") == .operator)
    }

    @Test func `a trace goes on in its children`() throws {
        let text = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
        let parent = try #require(TraceContext(traceparent: text))
        #expect(parent.traceparent == text)
        let child = parent.child()
        #expect(child.traceID == parent.traceID && child.spanID != parent.spanID && child.isSampled)
        let new = TraceContext()
        #expect(TraceContext(traceparent: new.traceparent) == new)
        // A later version may say more, of which only the known is read.
        #expect(TraceContext(traceparent: "01" + text.dropFirst(2) + "-more") == parent)
    }

    @Test(arguments: [
        "", "00", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7",
        "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-x",
        "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
        "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
        "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
        "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01",
        "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-0g",
        "00_4bf92f3577b34da6a3ce929d0e0e4736_00f067aa0ba902b7_01",
        "01-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01x",
    ])
    func `a malformed traceparent is no trace`(text: String) {
        #expect(TraceContext(traceparent: text) == nil)
    }
}
