import Contracts
import FoundationEssentials
import Testing

/// Golden JSON: what goes over the wire changes only on purpose.
@Suite struct `Messages` {
    static let task = "0190a1b2-c3d4-7e5f-8a9b-0c1d2e3f4a5b"
    static let examples: [(name: String, text: String, roundTrip: @Sendable (JSON) throws -> JSON)] = [
        (
            "work item",
            #"{"v":1,"task_id":"\#(task)","tenant":"acme","workflow":"single","stage":"work","kind":"work","role":"developer","attempt":2,"lease_token":"t","deadline":"2026-01-31T12:00:00.250Z","input":{"n":1.50}}"#,
            { try WorkItem(json: $0).json }
        ),
        (
            "work item with everything",
            #"{"v":1,"task_id":"\#(task)","tenant":"acme","workflow":"single","stage":"work","kind":"work","role":"developer","attempt":2,"lease_token":"t","deadline":"2026-01-31T12:00:00.250Z","budget_left":7,"prompt":"Be brief.","prompt_version":3,"input":null,"plan":{"fixes":[]},"previous":[1]}"#,
            { try WorkItem(json: $0).json }
        ),
        (
            "review work",
            #"{"v":1,"task_id":"\#(task)","tenant":"acme","workflow":"review","stage":"review","kind":"review","role":"security","attempt":1,"lease_token":"t","deadline":"2026-01-31T12:00:00.250Z","input":{},"reply":"prc.\#(task).response"}"#,
            { try WorkItem(json: $0).json }
        ),
        (
            "review request",
            #"{"v":1,"session_id":"\#(task)","tenant":"acme","task_id":"\#(task)","attempt":1,"round":2,"author":"dev-1","author_owner":"team","quorum":0.6667,"reviewers":[{"role":"security","weight":0.3},{"role":"tester","weight":12}],"timeout_seconds":180,"artifact":{"code": "x"}}"#,
            { try ReviewRequest(json: $0).json }
        ),
        (
            "review request with a budget",
            #"{"v":1,"session_id":"\#(task)","tenant":"acme","task_id":"\#(task)","attempt":1,"round":1,"author":"dev-1","author_owner":"team","quorum":0.6667,"reviewers":[{"role":"security","weight":0.3}],"timeout_seconds":180,"budget_left":8200,"artifact":7}"#,
            { try ReviewRequest(json: $0).json }
        ),
        (
            "review decision",
            #"{"v":1,"session_id":"\#(task)","tenant":"acme","task_id":"\#(task)","attempt":1,"round":2,"artifact_sha256":"\#(String(repeating: "0f", count: 32))","decision":"rejected","score":0.42505,"decided_at":"2026-01-31T12:00:00.250Z","explanation":{"reason":"x"},"votes":[{"role":"security","reviewer":"s-1","vote":"reject","rationale":"r","concerns":["c"]}]}"#,
            { try ReviewDecision(json: $0).json }
        ),
        (
            "review decision with usage",
            #"{"v":1,"session_id":"\#(task)","tenant":"acme","task_id":"\#(task)","attempt":1,"round":1,"artifact_sha256":"\#(String(repeating: "0f", count: 32))","decision":"approved","score":1,"decided_at":"2026-01-31T12:00:00.250Z","usage_tokens":745,"explanation":{},"votes":[]}"#,
            { try ReviewDecision(json: $0).json }
        ),
        (
            "analysis work",
            #"{"v":1,"task_id":"\#(task)","tenant":"acme","workflow":"analysis","stage":"analysis","kind":"analysis","role":"supervisor","attempt":1,"lease_token":"t","deadline":"2026-01-31T12:00:00.250Z","input":{},"reply":"supervisor.analysis.\#(task)"}"#,
            { try WorkItem(json: $0).json }
        ),
        (
            "escalation notice",
            #"{"v":1,"escalation_id":"\#(task)","tenant":"acme","task_id":"\#(task)","attempt":4,"role":"tester","source":"guard","guard":"has_tests"}"#,
            { try EscalationNotice(json: $0).json }
        ),
        (
            "resolution notice",
            #"{"v":1,"escalation_id":"\#(task)","tenant":"acme","task_id":"\#(task)","resolution":"reassign","plan":{"a":1},"role":"tester"}"#,
            { try ResolutionNotice(json: $0).json }
        ),
        (
            "alert",
            #"{"v":1,"name":"escalation_waits","severity":"warning","summary":"s","tenant":"acme","task_id":"\#(task)","escalation_id":"\#(task)","since":"2026-01-31T12:00:00.000Z"}"#,
            { try Alert(json: $0).json }
        ),
        (
            "review cancellation",
            #"{"v":1,"session_id":"\#(task)","tenant":"acme","task_id":"\#(task)","reason":"r"}"#,
            { try ReviewCancellation(json: $0).json }
        ),
        (
            "sandbox request",
            #"{"v":1,"execution_id":"\#(task)","tenant":"acme","caller":"agent-1","task_id":"\#(task)","attempt":2,"program":{"language":"python","code":"print(1)","limits":{"wall_ms":500}}}"#,
            { try SandboxRequest(json: $0).json }
        ),
        (
            "stored sandbox request", #"{"v":1,"execution_id":"\#(task)","tenant":"acme","caller":"alice"}"#,
            { try SandboxRequest(json: $0).json }
        ),
        (
            "sandbox result",
            #"{"v":1,"execution_id":"\#(task)","tenant":"acme","status":"error","exit_code":3,"stdout":{"encoding":"utf8","data":"a","tail":"z","bytes_total":9,"bytes_cut":7,"truncated":true},"stderr":{"encoding":"base64","data":"/w==","bytes_total":1,"bytes_cut":0,"truncated":false},"artifacts":[{"name":"o","bytes":1,"sha256":"ab","content":"x"}],"artifacts_skipped":1,"artifacts_truncated":false,"usage":{"wall_ms":1.5,"cpu_ms":0.25,"memory_peak_bytes":7},"processes_limit_hit":false,"isolation":"namespaces","layers":{"cgroup":"v1+v2","landlock":7,"warm":true}}"#,
            { try SandboxResult(json: $0).json }
        ),
        (
            "sandbox failure",
            #"{"v":1,"execution_id":"\#(task)","tenant":"acme","status":"sandbox_error","error":{"code":"c","message":"m"},"stdout":{"encoding":"utf8","data":"","bytes_total":0,"bytes_cut":0,"truncated":false},"stderr":{"encoding":"utf8","data":"","bytes_total":0,"bytes_cut":0,"truncated":false},"artifacts":[],"artifacts_skipped":0,"artifacts_truncated":false,"usage":{"wall_ms":0.0,"cpu_ms":0.0,"memory_peak_bytes":0},"processes_limit_hit":false}"#,
            { try SandboxResult(json: $0).json }
        ),
        (
            "sandbox output",
            #"{"v":1,"execution_id":"\#(task)","number":2,"type":"stdout","offset":5,"text":"é"}"#,
            { try SandboxEvent(json: $0).json }
        ),
        (
            "sandbox exit", #"{"v":1,"execution_id":"\#(task)","number":3,"type":"exit","status":"cpu_limit"}"#,
            { try SandboxEvent(json: $0).json }
        ),
        (
            "sandbox control", #"{"v":1,"verb":"replay","execution_id":"\#(task)"}"#,
            { try SandboxControl(json: $0).json }
        ),
        (
            "progress",
            #"{"v":1,"task_id":"\#(task)","attempt":1,"lease_token":"t","agent":"a-1","outcome":"progress","number":3,"message":"half","data":[1]}"#,
            { try AgentReport(json: $0).json }
        ),
        (
            "completion",
            #"{"v":1,"task_id":"\#(task)","attempt":1,"lease_token":"t","agent":"a-1","outcome":"completed","output":"x","usage":{"tokens":12}}"#,
            { try AgentReport(json: $0).json }
        ),
        (
            "failure",
            #"{"v":1,"task_id":"\#(task)","attempt":1,"lease_token":"t","agent":"a-1","outcome":"failed","code":"c","message":"m","retryable":false,"retry_after_seconds":4}"#,
            { try AgentReport(json: $0).json }
        ),
        (
            "rejection",
            #"{"v":1,"task_id":"\#(task)","attempt":1,"lease_token":"t","agent":"a-1","outcome":"rejected","reason":"r"}"#,
            { try AgentReport(json: $0).json }
        ),
        (
            "question",
            #"{"v":1,"task_id":"\#(task)","attempt":1,"lease_token":"t","agent":"a-1","outcome":"escalated","reason":"r"}"#,
            { try AgentReport(json: $0).json }
        ),
        (
            "event",
            #"{"v":1,"task_id":"\#(task)","tenant":"acme","seq":4,"type":"task.completed","at":"2026-01-31T12:00:00.000Z","attempt":1,"data":{}}"#,
            { try TaskEvent(json: $0).json }
        ),
        (
            "announcement",
            #"{"v":1,"agent":"a-1","roles":["developer"],"slots":4,"owner":"team","version":"1","leases":["\#(task)"],"leaving":false}"#,
            { try AgentAnnouncement(json: $0).json }
        ),
        (
            "breaker notice", #"{"v":1,"name":"external_api","version":1760000000000}"#,
            { try BreakerNotice(json: $0).json }
        ),
        ("revocation notice", #"{"v":1}"#, { try RevocationNotice(json: $0).json }),
        ("rate limit notice", #"{"v":1,"version":3}"#, { try RateLimitNotice(json: $0).json }),
        (
            "cancel notice", #"{"v":1,"task_id":"\#(task)","attempt":1,"reason":"r"}"#,
            { try CancelNotice(json: $0).json }
        ),
        (
            "dispatch hint",
            #"{"v":1,"queued":[{"role":"developer","tenant":"acme","count":2}],"freed":[]}"#,
            { try DispatchHint(json: $0).json }
        ),
    ]

    @Test(arguments: examples.indices)
    func `a message keeps its wire form`(index: Int) throws {
        let example = Self.examples[index]
        let json = try JSON(parsing: example.text.utf8)
        #expect(try example.roundTrip(json).text == example.text, "\(example.name)")
    }

    @Test(arguments: examples.indices)
    func `another version is refused and an unknown field is ignored`(index: Int) throws {
        let example = Self.examples[index]
        let newer = example.text.replacing(#""v":1"#, with: #""v":2"#)
        #expect(throws: JSONError.self) { try example.roundTrip(JSON(parsing: newer.utf8)) }
        let wider = example.text.replacing(#""v":1"#, with: #""v":1,"later":{"x":[]}"#)
        #expect(try example.roundTrip(JSON(parsing: wider.utf8)).text == example.text)
    }

    /// Whoever may publish may send any number.
    @Test func `numbers that nothing could hold are refused`() throws {
        let hint = #"{"v":1,"queued":[{"role":"r","tenant":"t","count":9223372036854775807}],"freed":[]}"#
        #expect(throws: JSONError.self) { try DispatchHint(json: JSON(parsing: hint.utf8)) }
        for time in ["1e300", "1e999", "-1", "9223372036854775807"] {
            for field in ["wall_ms", "cpu_ms"] {
                let outcome = #"{"status":"ok","usage":{"\#(field)":\#(time)}}"#
                #expect(throws: JSONError.self) {
                    var reader = try JSONReader(JSON(parsing: outcome.utf8))
                    _ = try SandboxOutcome(from: &reader)
                }
            }
        }
    }

    @Test func `progress keeps its message when its data is too large`() throws {
        func data(_ bytes: Int) throws -> JSON? {
            let text = String(repeating: "x", count: bytes - 2)
            let report = try AgentReport(
                json: JSON(
                    parsing: (#"{"v":1,"task_id":"\#(Self.task)","attempt":1,"lease_token":"t","agent":"a-1","#
                        + #""outcome":"progress","number":1,"message":"m","data":"\#(text)"}"#).utf8))
            guard case .progress(1, "m", let data, nil) = report.body else {
                Issue.record("It was not read as progress.")
                return nil
            }
            return data
        }
        #expect(try data(AgentReport.progressDataBytesMax) != nil)
        #expect(try data(AgentReport.progressDataBytesMax + 1) == nil)
    }

    @Test(arguments: [
        (0.0, "1970-01-01T00:00:00.000Z"), (951_782_400.5, "2000-02-29T00:00:00.500Z"),
        (4_102_444_799.999, "2099-12-31T23:59:59.999Z"), (-1.0, "1969-12-31T23:59:59.000Z"),
        (1e18, "9999-12-31T23:59:59.999Z"), (-1e18, "0000-01-01T00:00:00.000Z"),
    ])
    func `times are RFC 3339 in UTC`(seconds: Double, text: String) {
        let date = Date(timeIntervalSince1970: seconds)
        #expect(Timestamp.text(date) == text)
        #expect(Timestamp.date(text).map(Timestamp.text) == text)
    }

    @Test func `times are read as a formatter reads them`() throws {
        let style = Date.ISO8601FormatStyle(includingFractionalSeconds: true)
        var differing: [String] = []
        for number in 0..<3000 {
            // Every nineteenth day of 156 years, at another time of day each.
            let milliseconds = number * 19 * 86_400_000 + number * 7_919_317 % 86_400_000
            let text = Timestamp.text(Date(timeIntervalSince1970: Double(milliseconds) / 1000))
            let (read, wanted) = (Timestamp.date(text), try style.parse(text))
            if read.map({ abs($0.timeIntervalSince(wanted)) > 1e-6 }) ?? true { differing.append(text) }
        }
        #expect(differing.isEmpty)
        for bad in ["2026-13-01T00:00:00.000Z", "2026-11-28T24:00:00.000Z", "2026-11-28T00:60:00.000Z", "now"] {
            #expect(Timestamp.date(bad) == (try? style.parse(bad)), "\(bad)")
        }
    }

    @Test func `ids sort by time and carry their version`() {
        let early = TaskID(at: Date(timeIntervalSince1970: 1_700_000_000), random: (.max, .max))
        let late = TaskID(at: Date(timeIntervalSince1970: 1_700_000_000.001), random: (0, 0))
        #expect(early.description < late.description)
        #expect(late.description.dropFirst(14).first == "7")
        #expect(TaskID(late.description) == late)
        #expect(TaskID("not-a-uuid") == nil)
    }
}
