import Contracts
import DLQWorkerCore
import FoundationEssentials
import Testing

@Suite struct `Replay rules` {
    typealias Rules = ReplayRules

    static let mine = Rules.AttemptOfMessage(attempt: 2, leaseToken: "lease-2")

    @Test(arguments: [
        (Rules.TaskFact.none, nil as Rules.AttemptOfMessage?, nil as LetterOutcome?),
        (.unknown, nil, .unknownTask), (.unknown, mine, .unknownTask),
        (.known(.completed, attempt: 2, leaseToken: nil), mine, .taskEnded),
        (.known(.canceled, attempt: 1, leaseToken: nil), nil, .taskEnded),
        (.known(.developing, attempt: 2, leaseToken: "lease-2"), mine, nil),
        (.known(.developing, attempt: 2, leaseToken: "lease-3"), mine, .superseded),
        (.known(.developing, attempt: 3, leaseToken: "lease-2"), mine, .superseded),
        (.known(.queued, attempt: 2, leaseToken: nil), mine, .superseded),
        (.known(.reviewing, attempt: 2, leaseToken: "lease-2"), nil, nil),
    ])
    func `only what can still count is sent again`(
        fact: Rules.TaskFact, message: Rules.AttemptOfMessage?, refusal: LetterOutcome?
    ) {
        #expect(Rules.refusal(fact, of: message) == refusal)
    }

    @Test(arguments: [
        ("work.developer", #"{"v":1,"kind":"work","attempt":2,"lease_token":"lease-2"}"#, true),
        ("results.developer.x", #"{"v":1,"attempt":2,"lease_token":"lease-2"}"#, true),
        ("work.security", #"{"v":1,"kind":"review","attempt":2,"lease_token":"lease-2"}"#, false),
        ("prc.x.request", #"{"v":1,"attempt":2,"lease_token":"lease-2"}"#, false),
        ("work.developer", "no json", false), ("work.developer", #"{"attempt":"2"}"#, false),
    ])
    func `an attempt is read of what carries one`(subject: String, payload: String, isRead: Bool) {
        #expect(Rules.attempt(subject: subject, payload: Array(payload.utf8)) == (isRead ? Self.mine : nil))
    }

    @Test func `a replay has its own id, the same however often it is sent`() throws {
        let id = try #require(DeadLetterID("0197a3c4-8f00-7c3a-9d52-1b2c3d4e5f60"))
        #expect(Rules.messageID(of: id, replayCount: 0) == Rules.messageID(of: id, replayCount: 0))
        #expect(Rules.messageID(of: id, replayCount: 0) != Rules.messageID(of: id, replayCount: 1))
    }

    @Test func `the beginning of a message is not sent as the message`() throws {
        let id = try #require(DeadLetterID("0197a3c4-8f00-7c3a-9d52-1b2c3d4e5f60"))
        #expect(Rules.Headers(of: id, stored: try JSON(parsing: #"{"Golden-Whole-Bytes":"2097152"}"#.utf8)).isCut)
        #expect(!Rules.Headers(of: id, stored: try JSON(parsing: #"{"Golden-Reason":"undecodable"}"#.utf8)).isCut)
    }

    @Test func `the story of a death is not sent again`() throws {
        let id = try #require(DeadLetterID("0197a3c4-8f00-7c3a-9d52-1b2c3d4e5f60"))
        let stored = try JSON(
            parsing: #"{"golden-tenant":"acme","traceparent":"00-…","Golden-Reason":"x","Nats-Msg-Id":"y"}"#.utf8)
        #expect(
            Rules.Headers(of: id, stored: stored).own
                == ["golden-tenant": "acme", "traceparent": "00-…", "Golden-Replay-Of": id.description])
    }
}

@Suite struct `Alert book` {
    private let start = Date(timeIntervalSince1970: 1_800_000_000)

    @Test func `an alert is told when it begins, now and then, when it changes and when it is over`() {
        var book = AlertBook(thresholds: .init(warning: 10, critical: 100))
        #expect(book.update(unresolved: 10, critical: 0, now: start).isEmpty)
        let begun = book.update(unresolved: 11, critical: 0, now: start)
        #expect(begun.map(\.severity) == [.warning] && begun[0].endsAt == nil)
        #expect(book.update(unresolved: 12, critical: 0, now: start + 30).isEmpty)
        #expect(book.update(unresolved: 12, critical: 0, now: start + 61).count == 1)
        let worse = book.update(unresolved: 101, critical: 0, now: start + 62)
        #expect(worse.map(\.severity) == [.warning, .critical])
        #expect(worse[0].endsAt != nil && worse[1].endsAt == nil && worse[1].startsAt == start)
        let over = book.update(unresolved: 3, critical: 0, now: start + 70)
        #expect(over.map(\.severity) == [.critical] && over[0].endsAt == start + 70)
        #expect(book.update(unresolved: 3, critical: 0, now: start + 71).isEmpty)
    }

    @Test func `one letter on a critical subject is enough`() {
        var book = AlertBook()
        let notices = book.update(unresolved: 1, critical: 1, now: start)
        #expect(notices.map(\.name) == [.criticalSubject] && notices.map(\.severity) == [.critical])
    }
}
