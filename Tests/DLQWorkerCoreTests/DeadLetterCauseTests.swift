import Contracts
import DLQWorkerCore
import Testing

@Suite struct `Dead letter causes` {
    @Test(arguments: [
        ("results.developer.0197a3c4-8f00-7c3a-9d52-1b2c3d4e5f60", "results.developer.*"),
        ("prc.0197a3c4-8f00-7c3a-9d52-1b2c3d4e5f60.request", "prc.*.request"),
        ("work.developer", "work.developer"), ("supervisor.escalation", "supervisor.escalation"), ("", ""),
    ])
    func `a family is the subject without its ids`(subject: String, family: String) {
        #expect(DeadLetterCause.family(of: subject) == family)
    }

    @Test func `alike errors have one fingerprint`() {
        let one = DeadLetterCause.fingerprint(of: "attempt 3 of task 0197a3c4-8f00-7c3a-9d52-1b2c3d4e5f60 said \"no\"")
        let two = DeadLetterCause.fingerprint(of: "attempt 41 of task 0197a3c4-8f00-7c3a-9d52-1b2c3d4e5f61 said \"go\"")
        #expect(one == two)
        #expect(one == "attempt # of task * said \"…\"")
    }

    @Test func `errors that differ in words have two`() {
        #expect(
            DeadLetterCause.fingerprint(of: "v must be 1") != DeadLetterCause.fingerprint(of: "v must be a number"))
    }

    @Test func `hostile errors stay bounded`() {
        let texts = [
            String(repeating: "a", count: 1_000_000), String(repeating: "\"", count: 9999), "\u{202E}\0\n", "",
        ]
        for text in texts {
            #expect(DeadLetterCause.fingerprint(of: text).utf8.count <= 203)
        }
    }

    @Test func `a task is named by some subjects, and by bodies that are not a review's work`() {
        let id = "0197a3c4-8f00-7c3a-9d52-1b2c3d4e5f60"
        #expect(Subject.task(of: "results.developer.\(id)")?.description == id)
        #expect(Subject.task(of: "supervisor.resolution.\(id)")?.description == id)
        #expect(Subject.task(of: "work.developer") == nil && Subject.task(of: "prc.\(id).request") == nil)
        #expect(ReplayRules.task(in: Array(#"{"kind":"work","task_id":"\#(id)"}"#.utf8))?.description == id)
        #expect(ReplayRules.task(in: Array(#"{"kind":"review","task_id":"\#(id)"}"#.utf8)) == nil)
        #expect(ReplayRules.task(in: [0xFF]) == nil)
    }
}
