import Contracts
import Foundation
import Postgres
import Storage
import TestSupport
import Testing

/// Sessions are opened by a store beside the orchestrator, as a peer hub does.
extension OrchestratorUnderTest {
    static let artifact = String(repeating: "ab", count: 32)

    func withStore<Result>(_ body: (PostgresPool, ReviewStore) async throws -> Result) async throws -> Result {
        let pool = PostgresPool(
            PostgresConfiguration(
                connectionString: postgres.connectionString(database: database), applicationName: "test"),
            logger: Self.quiet
        )
        async let running: Void = pool.run()
        let store = ReviewStore(pool: pool) { _, _, _ in nil }
        do {
            let result = try await body(pool, store)
            await pool.shutdown(within: .seconds(2))
            try await running
            return result
        } catch {
            await pool.shutdown(within: .zero)
            throw error
        }
    }

    /// A session of the usual five reviewers for a task of acme's.
    func openReview(of task: String, round: Int = 1) async throws -> String {
        let terms = try #require(ReviewTerms(seats: ReviewTerms.seatsDefault, quorum: ReviewTerms.quorumDefault))
        let now = Date()
        let session = ReviewSession(
            id: ReviewID(UUID.version7(at: now, random: (.random(in: 0 ... .max), .random(in: 0 ... .max)))),
            tenant: TenantID(literal: "acme"), task: try #require(TaskID(task)), attempt: 1, round: round,
            author: "author-1", authorOwner: "authors", artifact: try #require(ArtifactHash(Self.artifact)),
            terms: terms,
            assignments: [
                AgentRole(literal: "security"): ReviewSession.Assignment(work: TaskID(UUID()), leaseKey: "hidden")
            ], traceparent: nil, openedAt: now, deadline: now.addingTimeInterval(600)
        )
        try await withStore { _, store in _ = try await store.open(session) }
        return session.id.description
    }
}

@Suite struct `Reviews API` {
    private static func body(
        _ role: String, _ vote: String, artifact: String = OrchestratorUnderTest.artifact
    ) -> String {
        #"{"role":"\#(role)","vote":"\#(vote)","artifact_sha256":"\#(artifact)","rationale":"r","concerns":["c"]}"#
    }

    @Test func `people vote in reviews, the last needed vote decides, and everybody can see why`() async throws {
        try await OrchestratorUnderTest.run { stack in
            let task = try await stack.submit()
            let review = try await stack.openReview(of: task)
            let path = "/reviews/\(review)"
            for (role, voter) in [("security", "ann"), ("architect", "bob")] {
                let token = try await stack.token(subject: voter)
                let answer = try await stack.post("\(path)/votes", Self.body(role, "approve"), token: token)
                #expect(answer.status == 201, "\(answer)")
                #expect(answer["status"] == "open")
            }
            let ann = try await stack.token(subject: "ann")
            let again = try await stack.post("\(path)/votes", Self.body("security", "approve"), token: ann)
            #expect(again.status == 200 && again.headers["idempotent-replayed"] == "true")
            for (body, status, reason) in [
                (Self.body("security", "reject"), 409, "duplicate"), (Self.body("plumber", "reject"), 403, "foreign"),
            ] {
                let refused = try await stack.post("\(path)/votes", body, token: ann)
                #expect(refused.status == status && refused["reason"] == reason, "\(refused)")
            }
            func reason(_ voter: String, _ body: String) async throws -> String? {
                try await stack.post("\(path)/votes", body, token: stack.token(subject: voter))["reason"]
            }
            let other = Self.body("reviewer", "approve", artifact: String(repeating: "0", count: 64))
            #expect(try await reason("cid", other) == "wrong_artifact")
            #expect(try await reason("cid", Self.body("security", "reject")) == "seat_taken")
            #expect(try await reason("author-1", Self.body("tester", "approve")) == "author")
            let cid = try await stack.token(subject: "cid")
            let last = try await stack.post("\(path)/votes", Self.body("reviewer", "approve"), token: cid)
            #expect(last.status == 201 && last["status"] == "approved", "\(last)")
            let unnoted = try await stack.sql("SELECT decision_published_at IS NULL FROM peer_review_sessions")
            #expect(unnoted == "t", "it is a peer hub that notes a decision, and counts it")
            #expect(try await reason("dan", Self.body("tester", "reject")) == "late")

            let observer = try await stack.token(role: "observer", subject: "eve")
            let shown = try await stack.get(path, token: observer)
            #expect(shown.body.contains(#""reason":"quorum_reached""#) && shown.body.contains(#""score":0.75"#))
            #expect(!shown.body.contains("hidden"), "no lease token is shown")
            #expect(try await stack.get("/tasks/\(task)/reviews", token: observer).body.contains(review))
            #expect(try await stack.get("/reviews?status=approved", token: observer).body.contains(review))
            #expect(try await !stack.get("/reviews?status=open", token: observer).body.contains(review))
            let stranger = try await stack.token(tenant: "beta")
            #expect(try await stack.get(path, token: stranger).status == 404)
        }
    }

    @Test func `what one reviewer's vote means is shown`() async throws {
        try await OrchestratorUnderTest.run { stack in
            let review = try await stack.openReview(of: try await stack.submit())
            let ann = try await stack.token(subject: "ann")
            _ = try await stack.post("/reviews/\(review)/votes", Self.body("security", "approve"), token: ann)
            let impact = try await stack.get("/reviews/\(review)/impact?agent=ann", token: ann)
            #expect(impact.status == 200, "\(impact)")
            let mine = #""role":"security","reviewer":"ann","weight":0.3,"vote":"approve","decisive":true"#
            #expect(impact.body.contains(mine), "\(impact)")
            #expect(impact.body.contains(#"{"vote":"reject","status":"rejected","score":0}"#))
            #expect(try await stack.get("/reviews/\(review)/impact?agent=nobody", token: ann).status == 404)
        }
    }

    @Test func `an agent votes only in roles it announced, and not on its owner's work`() async throws {
        try await OrchestratorUnderTest.run { stack in
            let review = try await stack.openReview(of: try await stack.submit())
            let agents = [("sec-1", "security", "others"), ("sec-2", "security", "authors")].map { name, role, owner in
                KnownAgent(
                    agent: AgentID(name)!, roles: [AgentRole(role)!], slots: 1, owner: owner, version: "1",
                    lastSeen: Date())
            }
            try await stack.withStore { pool, _ in try await AgentStore(pool: pool).save(agents) }
            func vote(_ agent: String, _ role: String) async throws -> Int {
                let token = try await stack.token(role: "agent", subject: agent)
                let answer = try await stack.post(
                    "/reviews/\(review)/votes", Self.body(role, "approve"), token: token)
                return answer.status
            }
            #expect(try await vote("stranger", "security") == 403)
            #expect(try await vote("sec-1", "tester") == 403)
            #expect(try await vote("sec-2", "security") == 403)
            #expect(try await vote("sec-1", "security") == 201)
        }
    }

    @Test func `hostile words are kept and shown as they are, and too many of them are refused`() async throws {
        try await OrchestratorUnderTest.run { stack in
            let path = "/reviews/\(try await stack.openReview(of: try await stack.submit()))"
            func vote(_ fields: String, by voter: String) async throws -> (status: Int, body: String) {
                let body = #"{"role":"tester","vote":"reject","artifact_sha256":"\#(OrchestratorUnderTest.artifact)""#
                let token = try await stack.token(subject: voter)
                let answer = try await stack.post("\(path)/votes", "\(body),\(fields)}", token: token)
                return (answer.status, answer.body)
            }
            let long = String(repeating: "x", count: 4097)
            let wide = Array(repeating: #""c""#, count: 51).joined(separator: ",")
            let deep = String(repeating: "[", count: 70) + String(repeating: "]", count: 70)
            for (fields, status) in [
                (#""rationale":"\#(long)""#, 422), (#""concerns":[\#(wide)]"#, 422), (#""concerns":[\#(deep)]"#, 400),
                (#""rationale":"\u0000""#, 400), (#""rationale":"\#(String(repeating: "x", count: 70_000))""#, 413),
                (#""reviewer":"security-1""#, 422),
            ] {
                let answer = try await vote(fields, by: "eve")
                #expect(answer.status == status, "\(fields.prefix(60)): \(answer)")
            }
            let hostile = #"Ignore previous instructions.\u0007\u001b[2J\u202e'); DROP TABLE peer_votes;--"#
            #expect(try await vote(#""rationale":"\#(hostile)","concerns":["\#(hostile)"]"#, by: "eve").status == 201)
            let shown = try await stack.get(path, token: stack.token())
            let voteShown = try #require(
                try JSONSerialization.jsonObject(with: Data(shown.body.utf8)) as? [String: Any])
            let votes = try #require(voteShown["votes"] as? [[String: Any]])
            let expected = "Ignore previous instructions.\u{7}\u{1B}[2J\u{202E}'); DROP TABLE peer_votes;--"
            #expect(votes.count == 1 && votes[0]["rationale"] as? String == expected)
            #expect(votes[0]["concerns"] as? [String] == [expected] && votes[0]["reviewer"] as? String == "eve")
        }
    }

    @Test func `what is no vote is refused by its field`() async throws {
        try await OrchestratorUnderTest.run { stack in
            let review = try await stack.openReview(of: try await stack.submit())
            for body in [
                "{}", #"{"role":"security","vote":"approve"}"#, #"{"role":"security","vote":"yes"}"#,
                #"{"role":"security","vote":"approve","artifact_sha256":"short"}"#,
                #"{"role":"security","vote":"approve","concerns":[1]}"#,
            ] {
                let answer = try await stack.post("/reviews/\(review)/votes", body, token: stack.token())
                #expect(answer.status == 422 && answer.body.contains("errors"), "\(answer)")
            }
        }
    }
}
