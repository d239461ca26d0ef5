import Contracts
import Foundation
import MessageBus
import Storage
import Synchronization
import Testing

/// Work that is judged by its peers, with a peer hub beside the orchestrators.
@Suite struct `Review flow` {
    @Test func `work that its peers approve completes, and its reviews are shown`() async throws {
        try await OrchestratorUnderTest.run(replicas: 2) { stack in
            let hub = try await stack.startHub()
            try await stack.withPeers {
                let id = try await stack.submit(#"{"workflow":"reviewed"}"#, replica: 1)
                try await stack.until("completed", id)
                let kinds = try await stack.kinds(of: id)
                #expect(
                    kinds == [
                        "task.created", "task.dispatched", "task.stage_completed", "task.review_requested",
                        "task.review_decided", "task.completed",
                    ])
                let done = try await stack.task(id)
                #expect(done.body.contains(#""output":{"code":"first"}"#) && !done.body.contains("review_session_id"))
                #expect(done.body.contains(#""round":1,"status":"approved","score":1"#), "\(done.body)")
                let events = try await stack.get("/tasks/\(id)/events", token: stack.token())
                #expect(
                    events.body.contains(#""decision":"approved","score":1,"quorum":0.75,"votes":3"#), "\(events.body)")
                let session = try await stack.sql(
                    "SELECT author_agent, author_owner, round, attempt FROM peer_review_sessions")
                #expect(session == "dev-1|owner-of-dev-1|1|1")
            }
            await hub.stop()
        }
    }

    @Test func `refused work goes back with what the reviewers want changed, and counts once they approve`()
        async throws
    {
        try await OrchestratorUnderTest.run { stack in
            let hub = try await stack.startHub()
            let plans = Mutex<[JSON]>([])
            var peers = Peers()
            let develop = peers.develop
            peers.develop = { item in
                if let plan = item.plan { plans.withLock { $0.append(plan) } }
                #expect((item.plan == nil) == (item.previous == nil))
                return try await develop(item)
            }
            peers.review = { item in
                let isFirst = item.input.text.contains("first")
                return Peers.vote(
                    isFirst && item.role.text == "security" ? "reject" : "approve", concerns: isFirst ? ["line 1"] : [])
            }
            try await stack.withPeers(peers) {
                let id = try await stack.submit(#"{"workflow":"reviewed"}"#)
                try await stack.until("completed", id)
                let done = try await stack.task(id)
                #expect(done.body.contains(#""output":{"code":"again"}"#) && done.body.contains(#""rework":1"#))
                #expect(done.body.contains(#""review_round":2"#), "\(done.body)")
                let kinds = try await stack.kinds(of: id)
                #expect(kinds.filter { $0 == "task.review_decided" }.count == 2 && kinds.contains("task.reworking"))
                let plan = try #require(plans.withLock { $0.first }).text
                #expect(
                    plan.hasPrefix(#"{"review":{"session_id":""#) && plan.contains(#""round":1,"decision":"rejected""#))
                let concern =
                    #"{"role":"security","reviewer":"security-1","vote":"reject","rationale":"because","concerns":["line 1"]}"#
                // First, whoever else had voted when it was decided.
                #expect(plan.contains(#""concerns":[\#(concern)"#), "\(plan)")
            }
            await hub.stop()
        }
    }

    @Test(arguments: ["approve", "retry"])
    func `work refused after the last round is escalated, and a human goes on`(resolution: String) async throws {
        try await OrchestratorUnderTest.run { stack in
            let hub = try await stack.startHub()
            let isKind = Mutex(false)
            var peers = Peers()
            peers.review = { item in Peers.vote(isKind.withLock { $0 } ? "approve" : "reject", concerns: ["no"]) }
            try await stack.withPeers(peers) {
                let id = try await stack.submit(#"{"workflow":"reviewed"}"#)
                try await stack.until("escalated", id)
                let rounds = "SELECT count(*), max(round) FROM peer_review_sessions WHERE status = 'rejected'"
                #expect(try await stack.sql(rounds) == "\(Workflow.reworkMax + 1)|\(Workflow.reworkMax + 1)")
                let shown = try await stack.task(id)
                #expect(shown.body.contains(#""plan":{"review""#), "\(shown.body)")
                let escalation = try #require(shown["escalation_id"])
                let filed = try await stack.get("/escalations/\(escalation)", token: stack.token())
                #expect(filed["source"] == "review" && filed["classification"] == "skill_gap", "\(filed.body)")
                #expect(filed["session_id"] != nil)
                isKind.withLock { $0 = true }
                let resolved = try await stack.post(
                    "/escalations/\(escalation)/resolve", #"{"resolution":"\#(resolution)"}"#,
                    token: stack.token(role: "operator"))
                #expect(resolved.status == 200, "\(resolved.body)")
                try await stack.until("completed", id)
                let ends = "SELECT count(*) FROM task_events WHERE kind = 'task.completed'"
                #expect(try await stack.sql(ends) == "1")
            }
            await hub.stop()
        }
    }

    @Test func `reviewers at odds are a question to somebody else`() async throws {
        try await OrchestratorUnderTest.run { stack in
            let hub = try await stack.startHub()
            let workflow = """
                {"stages":[{"name":"w","kind":"work","role":"developer"},
                {"name":"r","kind":"review","quorum":0.55,"timeout_seconds":60,"reviewers":[
                {"role":"security","weight":0.4},{"role":"reviewer","weight":0.4},{"role":"tester","weight":0.2}]}]}
                """
            #expect(try await stack.put("/workflows/odd", workflow).status == 201)
            var peers = Peers()
            peers.review = { item in
                Peers.vote(["security": "approve", "reviewer": "reject"][item.role.text] ?? "abstain")
            }
            try await stack.withPeers(peers) {
                let id = try await stack.submit(#"{"workflow":"odd"}"#)
                try await stack.until("escalated", id)
                #expect(try await stack.sql("SELECT classification FROM escalations") == "agent_conflict")
                #expect(try await stack.sql("SELECT explanation ->> 'reason' FROM peer_review_sessions") == "tie")
            }
            await hub.stop()
        }
    }

    @Test func `gated work is approved by its peers, then by a human`() async throws {
        try await OrchestratorUnderTest.run { stack in
            let hub = try await stack.startHub()
            try await stack.withPeers {
                let id = try await stack.submit(#"{"workflow":"gated"}"#)
                try await stack.until("awaiting_approval", id)
                #expect(try await stack.approve(id, #"{"verdict":"approve"}"#).status == 200)
                #expect(try await stack.task(id).body.contains(#""output":{"code":"first"}"#))
            }
            await hub.stop()
        }
    }

    @Test func `a canceled review ends at once, and its reviewers are told to stop`() async throws {
        try await OrchestratorUnderTest.run { stack in
            let hub = try await stack.startHub()
            let held = Mutex<[WorkItem]>([])
            var peers = Peers()
            peers.review = { item in
                held.withLock { $0.append(item) }
                return nil
            }
            try await stack.withPeers(peers) {
                let id = try await stack.submit(#"{"workflow":"reviewed"}"#)
                try await stack.until("reviewing", id)
                try await eventually { held.withLock { $0.count } == 3 }
                let explained = try await stack.get("/tasks/\(id)/explain", token: stack.token())
                #expect(explained.body.contains("tester (0.3): has not voted"), "\(explained.body)")
                let shown = try await stack.task(id)
                #expect(shown["review_session_id"] != nil && shown.body.contains(#""status":"open""#))
                try await stack.withBus { bus in
                    let notices = try bus.subscribe(.allCancels)
                    let canceled = try await stack.post("/tasks/\(id)/cancel", nil, token: stack.token())
                    #expect(canceled.status == 200 && canceled["state"] == "canceled", "\(canceled.body)")
                    var stopped: Set<TaskID> = []
                    for await notice in notices {
                        stopped.insert(notice.task)
                        if stopped.count == 3 { break }
                    }
                    #expect(stopped == Set(held.withLock { $0.map(\.task) }))
                    #expect(try await stack.sql("SELECT status FROM peer_review_sessions") == "canceled")
                    let late = try #require(held.withLock { $0.first })
                    guard case .completed(let output, _) = Peers.vote("approve") else { return }
                    let report = AgentReport(
                        task: late.task, attempt: 1, leaseToken: late.leaseToken,
                        agent: try #require(AgentID("\(late.role)-1")), body: .completed(output: output, usage: nil))
                    _ = try await bus.publish(report, on: .reply(try #require(late.reply)), id: nil)
                    try await eventually {
                        let responses = try await bus.backlog(of: BusTopology.hubResponses)
                        return responses.map { $0.pending + $0.ackPending } == 0
                    }
                }
                #expect(try await stack.sql("SELECT count(*) FROM peer_votes") == "0")
                #expect(try await stack.task(id)["state"] == "canceled")
            }
            await hub.stop()
        }
    }

    @Test func `what peers say of a prompt's work is counted with the version that made it`() async throws {
        try await OrchestratorUnderTest.run { stack in
            let hub = try await stack.startHub()
            func propose(_ content: String, base: Int) async throws {
                let body = #"{"role":"developer","content":"\#(content)","base_version":\#(base),"reason":"r"}"#
                let token = try await stack.token(role: "operator", subject: "ada")
                #expect(try await stack.post("/governance/prompts", body, token: token).status == 201)
            }
            try await propose("Be good.", base: 0)
            let handed = Mutex(0)
            var peers = Peers()
            peers.develop = { item in
                handed.withLock { $0 = max($0, item.promptVersion ?? 0) }
                return .completed(
                    output: JSONWriter.object { $0.field("by", "\(item.promptVersion ?? 0)") }, usage: nil)
            }
            peers.review = { item in
                Peers.vote(item.input.text.contains(#"{"by":"1"}"#) ? "reject" : "approve", concerns: ["x"])
            }
            try await stack.withPeers(peers) {
                try await eventually {
                    let id = try await stack.submit()
                    try await stack.until("completed", id)
                    return handed.withLock { $0 } == 1
                }
                let id = try await stack.submit(#"{"workflow":"reviewed"}"#)
                try await stack.until("escalated", id)
                try await propose("Be better.", base: 1)
                let admin = try await stack.token(role: "admin", subject: "grace")
                #expect(try await stack.post("/governance/prompts/2/approve", nil, token: admin).status == 200)
                try await eventually {
                    let id = try await stack.submit()
                    try await stack.until("completed", id)
                    return handed.withLock { $0 } == 2
                }
                let escalation = try #require(try await stack.task(id)["escalation_id"])
                let resolved = try await stack.post(
                    "/escalations/\(escalation)/resolve", #"{"resolution":"retry"}"#, token: admin)
                #expect(resolved.status == 200, "\(resolved.body)")
                try await stack.until("completed", id)
                let first = try await stack.get("/governance/prompts/1", token: admin)
                let none = #""reviews":{"total":4,"approved":0,"rejected":4,"escalated":0,"rework_rounds":3,"#
                #expect(first.body.contains(none + #""approval_rate":0}"#), "\(first.body)")
                let second = try await stack.get("/governance/prompts/2", token: admin)
                let all = #""reviews":{"total":1,"approved":1,"rejected":0,"escalated":0,"rework_rounds":0,"#
                #expect(second.body.contains(all + #""approval_rate":1}"#), "\(second.body)")
                // The task counts for the version that made its result.
                #expect(try await stack.sql("SELECT prompt_version FROM tasks WHERE workflow = 'reviewed'") == "2")
                #expect(try await stack.sql("SELECT count(*) FROM prompt_reviews") == "5")
            }
            await hub.stop()
        }
    }

    @Test func `guards are asked before the peers are`() async throws {
        try await OrchestratorUnderTest.run { stack in
            let hub = try await stack.startHub()
            let workflow = """
                {"stages":[{"name":"w","kind":"work","role":"developer","guards":["code_quality"]},
                {"name":"r","kind":"review","reviewers":[{"role":"security","weight":1}]}]}
                """
            #expect(try await stack.put("/workflows/guarded", workflow).status == 201)
            var peers = Peers()
            peers.develop = { item in
                .completed(
                    output: JSONWriter.object {
                        $0.field("checks", object: { $0.field("code_quality", item.plan != nil) })
                    }, usage: nil)
            }
            try await stack.withPeers(peers) {
                let id = try await stack.submit(#"{"workflow":"guarded"}"#)
                try await stack.until("completed", id)
                let kinds = try await stack.kinds(of: id)
                #expect(kinds.filter { $0 == "task.review_requested" }.count == 1, "\(kinds)")
                #expect(try await stack.sql("SELECT attempt, author_agent FROM peer_review_sessions") == "2|dev-1")
            }
            await hub.stop()
        }
    }
}
