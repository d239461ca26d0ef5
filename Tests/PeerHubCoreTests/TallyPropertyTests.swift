import Contracts
import PeerHubCore
import Testing

/// Every possible ballot of up to seven reviewers.
@Suite struct `Tally properties` {
    /// Weights and quorum of each size.
    static let examples: [(weights: [String], quorum: String)] = [
        (["1"], "0.75"), (["0.5", "0.5"], "0.5"), (["0.3", "0.3", "0.4"], "0.6"),
        (["0.25", "0.25", "0.25", "0.25"], "0.75"),
        (["0.3", "0.25", "0.2", "0.15", "0.1"], "0.75"), (["5", "4", "3", "2", "1", "0.0001"], "0.6667"),
        (["0.3", "0.2", "0.15", "0.15", "0.1", "0.07", "0.03"], "0.75"),
    ]

    private static let choices: [VoteChoice?] = [nil] + VoteChoice.allCases

    /// The ballot with that number: each seat's choice is one digit to base five.
    private static func ballot(_ number: Int, seats: Int) -> [VoteChoice?] {
        var rest = number
        return (0..<seats).map { _ in
            defer { rest /= choices.count }
            return choices[rest % choices.count]
        }
    }

    private static func power(_ exponent: Int) -> Int { (0..<exponent).reduce(1) { power, _ in power * choices.count } }

    /// An early decision must be what the deadline would decide, whatever of the missing votes come until then. By
    /// induction it is enough that one more vote never changes it, for every ballot there is: all completions are
    /// reached from a ballot by adding its missing votes one by one.
    @Test(arguments: examples)
    func `no further vote changes an early decision`(weights: [String], quorum: String) throws {
        let terms = try makeTerms(weights, quorum: quorum)
        let count = Self.power(weights.count)
        var atDeadline: [Tally.Ruling] = []
        var early: [Tally.Ruling?] = []
        for number in 0..<count {
            let tally = Tally(terms, castVotes(Self.ballot(number, seats: weights.count), in: terms))
            atDeadline.append(try #require(tally.ruling(atDeadline: true)))
            early.append(tally.ruling(atDeadline: false))
        }
        var failures = 0
        var undecided = 0
        for number in 0..<count {
            guard let decision = early[number] else {
                undecided += 1
                continue
            }
            if atDeadline[number] != decision { failures += 1 }
            for seat in 0..<weights.count where number / Self.power(seat) % Self.choices.count == 0 {
                for choice in 1..<Self.choices.count {
                    let completed = number + choice * Self.power(seat)
                    if atDeadline[completed] != decision || early[completed] != decision { failures += 1 }
                }
            }
        }
        #expect(failures == 0)
        #expect(undecided < count)
    }

    /// The other direction: while a decision is awaited, at least two ends are still possible.
    @Test(arguments: examples)
    func `nobody waits for votes that cannot matter`(weights: [String], quorum: String) throws {
        let terms = try makeTerms(weights, quorum: quorum)
        let count = Self.power(weights.count)
        // The ends each ballot can still come to; completions have larger numbers.
        var ends = [Set<Tally.Ruling>](repeating: [], count: count)
        var early = 0
        for number in (0..<count).reversed() {
            let tally = Tally(terms, castVotes(Self.ballot(number, seats: weights.count), in: terms))
            ends[number].insert(try #require(tally.ruling(atDeadline: true)))
            for seat in 0..<weights.count where number / Self.power(seat) % Self.choices.count == 0 {
                for choice in 1..<Self.choices.count {
                    ends[number].formUnion(ends[number + choice * Self.power(seat)])
                }
            }
            if (tally.ruling(atDeadline: false) == nil) != (ends[number].count > 1) { early += 1 }
        }
        #expect(early == 0)
    }

    @Test(arguments: examples)
    func `the order of votes is without meaning`(weights: [String], quorum: String) throws {
        let terms = try makeTerms(weights, quorum: quorum)
        var random = SystemRandomNumberGenerator()
        for _ in 0..<300 {
            let number = Int.random(in: 0..<Self.power(weights.count), using: &random)
            let ballot = castVotes(Self.ballot(number, seats: weights.count), in: terms)
            let tally = Tally(terms, ballot)
            for _ in 0..<5 {
                let shuffled = Tally(terms, ballot.shuffled(using: &random))
                #expect(shuffled.outcome(atDeadline: true) == tally.outcome(atDeadline: true), "ballot \(number)")
                #expect(shuffled.outcome(atDeadline: false) == tally.outcome(atDeadline: false), "ballot \(number)")
            }
        }
    }

    @Test func `the scale of the weights is without meaning`() throws {
        var random = SystemRandomNumberGenerator()
        for _ in 0..<2000 {
            let small = (0..<5).map { _ in Int.random(in: 1...9, using: &random) }
            let quorum = Weight(tenThousandths: Int.random(in: 1...10_000, using: &random)).description
            let ballot = Self.ballot(Int.random(in: 0..<Self.power(5), using: &random), seats: 5)
            let rulings = try [1, 7, 1000, 10_000_000].map { factor in
                let terms = try makeTerms(
                    small.map { Weight(tenThousandths: $0 * factor).description }, quorum: quorum)
                return [true, false].map { Tally(terms, castVotes(ballot, in: terms)).ruling(atDeadline: $0) }
            }
            #expect(Set(rulings).count == 1, "\(small) \(quorum) \(ballot)")
        }
    }

    /// Terms nobody thought of: up to five seats of wildly different weights, some without any, and every quorum.
    static func anyTerms(using random: inout SystemRandomNumberGenerator) -> (weights: [Int], quorum: Int) {
        let scales = [1, 9, 1000, 10_000, 999_999, 199_999_999]
        var weights = (0..<Int.random(in: 1...5, using: &random)).map { _ in
            Int.random(in: 0...scales[Int.random(in: 0..<scales.count, using: &random)], using: &random)
        }
        if weights.allSatisfy({ $0 == 0 }) { weights[0] = 1 }
        let quorums = [1, 2, 5000, 7500, 9999, 10_000]
        let isPlain = Bool.random(using: &random)
        return (weights, isPlain ? quorums.randomElement(using: &random)! : Int.random(in: 1...10_000, using: &random))
    }

    /// The rule as docs/reviews.md has it, in whole numbers of its own: which share of all weight is for and against.
    private static func expected(_ choices: [VoteChoice?], _ weights: [Int], _ quorum: Int) -> Tally.Ruling {
        var (parts, against, total) = (0, 0, 0)
        for (choice, weight) in zip(choices, weights) {
            total += 20_000 * weight
            if choice == .approve { parts += 20_000 * weight }
            if choice == .conditional { parts += 10_000 * weight }
            if choice == .conditional { against += 10_000 * weight }
            if choice == .reject { against += 20_000 * weight }
        }
        let needed = 2 * weights.reduce(0, +) * quorum
        return parts >= needed ? .approved : total - against < needed ? .rejected : .escalated
    }

    @Test func `whatever the weights and the quorum, early means final and late means by the rule`() throws {
        var random = SystemRandomNumberGenerator()
        for _ in 0..<100 {
            let (weights, quorum) = Self.anyTerms(using: &random)
            let terms = try makeTerms(
                weights.map { Weight(tenThousandths: $0).description },
                quorum: Weight(tenThousandths: quorum).description)
            let count = Self.power(weights.count)
            var ends = [Set<Tally.Ruling>](repeating: [], count: count)
            var failures: [Int] = []
            for number in (0..<count).reversed() {
                let ballot = Self.ballot(number, seats: weights.count)
                let tally = Tally(terms, castVotes(ballot, in: terms))
                let atDeadline = try #require(tally.ruling(atDeadline: true))
                ends[number].insert(atDeadline)
                for seat in 0..<weights.count where ballot[seat] == nil {
                    for choice in 1..<Self.choices.count {
                        ends[number].formUnion(ends[number + choice * Self.power(seat)])
                    }
                }
                let early = tally.ruling(atDeadline: false)
                let isRight =
                    atDeadline == Self.expected(ballot, weights, quorum)
                    && (early == nil ? ends[number].count > 1 : ends[number] == [atDeadline] && early == atDeadline)
                if !isRight { failures.append(number) }
            }
            #expect(failures.isEmpty, "\(weights) \(quorum): ballots \(failures.prefix(5))")
        }
    }

    @Test func `the order of the seats is without meaning`() throws {
        var random = SystemRandomNumberGenerator()
        for _ in 0..<500 {
            let (weights, quorum) = Self.anyTerms(using: &random)
            let terms = try makeTerms(
                weights.map { Weight(tenThousandths: $0).description },
                quorum: Weight(tenThousandths: quorum).description)
            let number = Int.random(in: 0..<Self.power(weights.count), using: &random)
            let votes = castVotes(Self.ballot(number, seats: weights.count), in: terms)
            let shuffled = try #require(ReviewTerms(seats: terms.seats.shuffled(), quorum: terms.quorum))
            for atDeadline in [true, false] {
                #expect(
                    Tally(terms, votes).ruling(atDeadline: atDeadline)
                        == Tally(shuffled, votes).ruling(atDeadline: atDeadline))
            }
            #expect(Tally(terms, votes).score == Tally(shuffled, votes).score)
        }
    }

    @Test func `what if a seat had voted otherwise is what would have been decided`() throws {
        var random = SystemRandomNumberGenerator()
        for _ in 0..<200 {
            let (weights, quorum) = Self.anyTerms(using: &random)
            let terms = try makeTerms(
                weights.map { Weight(tenThousandths: $0).description },
                quorum: Weight(tenThousandths: quorum).description)
            let ballot = Self.ballot(
                Int.random(in: 0..<Self.power(weights.count), using: &random), seats: weights.count)
            let tally = Tally(terms, castVotes(ballot, in: terms))
            for (index, seat) in terms.seats.enumerated() {
                let impact = try #require(Impact(of: seat.role, in: tally, atDeadline: true))
                for alternative in impact.alternatives {
                    var other = ballot
                    other[index] = alternative.choice
                    let recount = Tally(terms, castVotes(other, in: terms))
                    #expect(alternative.status == recount.ruling(atDeadline: true)?.status)
                    #expect(alternative.score == recount.score)
                }
            }
        }
    }
}
