import Contracts
import PeerHubCore
import Testing

/// Roles and weights from texts.
func makeTerms(_ weights: [String], quorum: String = "0.75") throws -> ReviewTerms {
    let seats = try weights.enumerated().map { index, weight in
        let role = try #require(AgentRole("role\(index)"))
        return ReviewTerms.Seat(role: role, weight: try #require(Weight(weight)))
    }
    let share = try #require(Weight(quorum))
    return try #require(ReviewTerms(seats: seats, quorum: share))
}

/// One vote per seat; nil has not voted.
func castVotes(_ choices: [VoteChoice?], in terms: ReviewTerms) -> [CastVote] {
    zip(terms.seats, choices).compactMap { seat, choice in
        choice.map { CastVote(reviewer: "agent-\(seat.role)", role: seat.role, choice: $0) }
    }
}

@Suite struct `Votes decide` {
    static let usual = ["0.3", "0.25", "0.2", "0.15", "0.1"]

    struct Case: Sendable {
        let choices: [VoteChoice?]
        let early: Tally.Ruling?
        let atDeadline: Tally.Ruling
    }

    @Test(arguments: [
        Case(choices: [.approve, .approve, .approve], early: .approved, atDeadline: .approved),
        Case(choices: [.approve, .approve, nil, .approve], early: nil, atDeadline: .escalated),
        Case(choices: [.reject], early: .rejected, atDeadline: .rejected),
        Case(choices: [nil, .reject], early: nil, atDeadline: .escalated),
        Case(choices: [nil, .reject, nil, nil, .conditional], early: .rejected, atDeadline: .rejected),
        Case(choices: [.conditional, .conditional], early: .rejected, atDeadline: .rejected),
        Case(choices: [.conditional], early: nil, atDeadline: .escalated),
        Case(choices: [.conditional, .approve, .approve, .approve, .approve], early: .approved, atDeadline: .approved),
        Case(choices: [], early: nil, atDeadline: .escalated),
        Case(choices: [.abstain, .approve, .approve, .approve, .approve], early: .escalated, atDeadline: .escalated),
        Case(choices: [.abstain, .reject], early: nil, atDeadline: .escalated),
        Case(choices: [.abstain, nil, .reject, .reject], early: .rejected, atDeadline: .rejected),
        Case(
            choices: [.abstain, .abstain, .abstain, .abstain, .abstain], early: .escalated, atDeadline: .escalated),
        Case(choices: [.approve, .approve, .abstain, .approve, .approve], early: .approved, atDeadline: .approved),
    ])
    func `as soon as nothing can change it, else at the deadline`(_ example: Case) throws {
        let terms = try makeTerms(Self.usual)
        let tally = Tally(terms, castVotes(example.choices, in: terms))
        #expect(tally.ruling(atDeadline: false) == example.early)
        #expect(tally.ruling(atDeadline: true) == example.atDeadline)
    }

    @Test func `the quorum is reached exactly, at any scale`() throws {
        // In binary floating point 0.1 + 0.2 is not 0.3; and a third of a ten-thousandth must not be lost either.
        for (weights, quorum) in [
            (["0.1", "0.2", "0.7"], "0.3"), (["0.0001", "0.0002", "0.0007"], "0.3"),
            (["10000", "20000", "69999.9999"], "0.3"),
        ] {
            let terms = try makeTerms(weights, quorum: quorum)
            let reached = Tally(terms, castVotes([.approve, .approve], in: terms))
            #expect(reached.ruling(atDeadline: false) == .approved, "\(weights)")
            let short = Tally(terms, castVotes([.conditional, .approve], in: terms))
            #expect(short.ruling(atDeadline: false) == nil, "\(weights)")
        }
        let terms = try makeTerms(["0.0001", "99999.9998"], quorum: "1")
        #expect(Tally(terms, castVotes([nil, .approve], in: terms)).ruling(atDeadline: true) == .escalated)
        #expect(Tally(terms, castVotes([.conditional, .approve], in: terms)).ruling(atDeadline: true) == .rejected)
        #expect(Tally(terms, castVotes([.approve, .approve], in: terms)).ruling(atDeadline: true) == .approved)
    }

    @Test func `a seat without weight changes nothing`() throws {
        let terms = try makeTerms(["0", "1"])
        for choice in VoteChoice.allCases {
            #expect(Tally(terms, castVotes([choice, .approve], in: terms)).ruling(atDeadline: false) == .approved)
            #expect(Tally(terms, castVotes([choice, .reject], in: terms)).ruling(atDeadline: false) == .rejected)
        }
    }

    @Test func `a vote for a role without a seat does not count`() throws {
        let terms = try makeTerms(["1"])
        let stranger = CastVote(reviewer: "eve", role: AgentRole(literal: "stranger"), choice: .approve)
        #expect(Tally(terms, [stranger]) == Tally(terms, []))
    }

    @Test func `as much for it as against it is a tie`() throws {
        let terms = try makeTerms(["0.2", "0.2", "0.6"], quorum: "0.6")
        let tally = Tally(terms, castVotes([.approve, .reject], in: terms))
        #expect(tally.ruling(atDeadline: false) == nil)
        let outcome = try #require(tally.outcome(atDeadline: true))
        #expect(outcome.status == .escalated)
        #expect(outcome.explanation.text.contains(#""reason":"tie""#))
    }
}

@Suite struct `Tally explanation` {
    @Test func `it shows the score, each part of it, what was missing and who could have passed it`() throws {
        let terms = try makeTerms(`Votes decide`.usual)
        let tally = Tally(terms, castVotes([.approve, .conditional, .reject, nil, .abstain], in: terms))
        let outcome = try #require(tally.outcome(atDeadline: true))
        #expect(outcome.status == .rejected)
        #expect(outcome.score == "0.425")
        #expect(
            outcome.explanation.text == """
                {"decision":"rejected","reason":"quorum_unreachable","summary":"Rejected: votes against weigh 0.325, \
                so that 0.425 of the 0.75 needed could not become enough.","score":0.425,"against":0.325,\
                "weight_total":1,"quorum":0.75,"needed":0.75,"short_by":0.325,"contributions":[\
                {"role":"role0","reviewer":"agent-role0","vote":"approve","weight":0.3,"contribution":0.3},\
                {"role":"role1","reviewer":"agent-role1","vote":"conditional","weight":0.25,"contribution":0.125},\
                {"role":"role2","reviewer":"agent-role2","vote":"reject","weight":0.2,"contribution":0},\
                {"role":"role4","reviewer":"agent-role4","vote":"abstain","weight":0.1,"contribution":0}],\
                "not_voted":[{"role":"role3","weight":0.15}],"could_have_passed_alone":[]}
                """
        )
    }

    @Test func `whoever's approval would have been enough is named`() throws {
        let terms = try makeTerms(["0.5", "0.3", "0.2"], quorum: "0.7")
        #expect(
            Tally(terms, castVotes([.reject, .approve, .approve], in: terms)).deciders.map(\.text) == ["role0"])
        #expect(
            Tally(terms, castVotes([.approve, .reject, nil], in: terms)).deciders.map(\.text) == ["role1", "role2"])
        #expect(Tally(terms, castVotes([.approve, .approve, .approve], in: terms)).deciders.isEmpty)
    }

    @Test func `what a reviewer's vote would change is shown`() throws {
        let terms = try makeTerms(["0.5", "0.3", "0.2"], quorum: "0.7")
        let tally = Tally(terms, castVotes([.approve, .approve, .reject], in: terms))
        let small = try #require(Impact(of: terms.seats[2].role, in: tally, atDeadline: true))
        #expect(!small.isDecisive)
        #expect(small.choice == .reject)
        let large = try #require(Impact(of: terms.seats[1].role, in: tally, atDeadline: true))
        #expect(large.isDecisive)
        #expect(large.alternatives.map(\.choice) == [.approve, .conditional, .reject, .abstain, nil])
        #expect(large.alternatives.map(\.status) == [.approved, .rejected, .rejected, .escalated, .escalated])
        #expect(large.alternatives.map(\.score) == ["0.8", "0.65", "0.5", "0.5", "0.5"])
        #expect(Impact(of: AgentRole(literal: "nobody"), in: tally, atDeadline: true) == nil)
    }
}

@Suite struct `Exact decimals` {
    @Test(arguments: ["0", "0.3", "1", "12.3456", "99999.9999", "0.0001"])
    func `are read and written unchanged`(_ text: String) throws {
        #expect(try #require(Weight(text)).description == text)
    }

    @Test(arguments: ["", ".", "1.", ".5", "-1", "+1", "1e3", "0.00001", " 1", "1,5", "1.2.3", "1234567890", "०"])
    func `other texts are none`(_ text: String) { #expect(Weight(text) == nil) }
}

/// What the weights of the workflows every installation has come to.
@Suite struct `Tally of the usual peers` {
    @Test func `it takes all three, and one of them may be conditional`() {
        let roles = ReviewTerms.peers.seats.map(\.role)
        let choices: [VoteChoice?] = VoteChoice.allCases + [nil]
        for first in choices {
            for second in choices {
                for third in choices {
                    let given = [first, second, third]
                    let votes = zip(roles, given).compactMap { role, choice in
                        choice.map { CastVote(reviewer: role.text, role: role, choice: $0) }
                    }
                    let ruling = Tally(.peers, votes).ruling(atDeadline: true)
                    let conditional = given.filter { $0 == .conditional }.count
                    let wanted: Tally.Ruling =
                        if given.contains(.reject) || conditional > 1 {
                            .rejected
                        } else if given.allSatisfy({ $0 == .approve || $0 == .conditional }) {
                            .approved
                        } else {
                            .escalated
                        }
                    #expect(ruling == wanted, "\(given)")
                }
            }
        }
    }
}
