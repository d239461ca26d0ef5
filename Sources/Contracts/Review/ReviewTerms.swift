/// A reviewer's weight, or a share of the weights: a decimal number of at most four places, kept exactly.
package struct Weight: Sendable, Hashable, Comparable, CustomStringConvertible {
    package static let places = 4
    package static let one = Weight(tenThousandths: 10_000)

    package let tenThousandths: Int

    package init(tenThousandths: Int) {
        self.tenThousandths = tenThousandths
    }

    /// Nil unless `text` is a decimal number such as `0.3`, not negative, of at most four places.
    package init?(_ text: String) {
        guard let count = FixedPoint.count(text, places: Self.places) else { return nil }
        tenThousandths = count
    }

    package var description: String { FixedPoint.text(tenThousandths, places: Self.places) }

    package static func < (left: Self, right: Self) -> Bool { left.tenThousandths < right.tenThousandths }
}

/// What is fixed when a session opens: who may vote with what weight, and which share of their sum approves.
package struct ReviewTerms: Sendable, Equatable {
    package static let seatsMax = 16
    /// Of all seats together; what the table holds.
    package static let totalMax = Weight(tenThousandths: 999_999_999)
    package static let quorumDefault = Weight(tenThousandths: 7500)
    /// Who reviews when nobody says otherwise.
    package static let seatsDefault = [
        Seat(role: AgentRole(literal: "security"), weight: Weight(tenThousandths: 3000)),
        Seat(role: AgentRole(literal: "architect"), weight: Weight(tenThousandths: 2500)),
        Seat(role: AgentRole(literal: "reviewer"), weight: Weight(tenThousandths: 2000)),
        Seat(role: AgentRole(literal: "tester"), weight: Weight(tenThousandths: 1500)),
        Seat(role: AgentRole(literal: "developer"), weight: Weight(tenThousandths: 1000)),
    ]

    /// Who reviews in the workflows every installation has. It takes all three votes, of which one may be conditional;
    /// any rejection, or a second conditional vote, sends the work back.
    package static let peers = ReviewTerms(
        checked: [
            Seat(role: AgentRole(literal: "security"), weight: Weight(tenThousandths: 4000)),
            Seat(role: AgentRole(literal: "reviewer"), weight: Weight(tenThousandths: 3000)),
            Seat(role: AgentRole(literal: "tester"), weight: Weight(tenThousandths: 3000)),
        ], quorum: quorumDefault)

    /// One vote's place: whoever votes for the role first holds it.
    package struct Seat: Sendable, Hashable {
        package let role: AgentRole
        package let weight: Weight

        package init(role: AgentRole, weight: Weight) {
            self.role = role
            self.weight = weight
        }
    }

    package let seats: [Seat]
    /// Of the sum of all seats' weights, whoever votes; more than 0, at most 1.
    package let quorum: Weight

    private init(checked seats: [Seat], quorum: Weight) {
        self.seats = seats
        self.quorum = quorum
    }

    /// Nil unless there are 1 to 16 seats of different roles whose sum is more than 0 and at most 99999.9999, and the
    /// quorum is a share.
    package init?(seats: [Seat], quorum: Weight) {
        let total = seats.reduce(0) { $0 + min($1.weight.tenThousandths, Self.totalMax.tenThousandths) }
        guard (1...Self.seatsMax).contains(seats.count), Set(seats.map(\.role)).count == seats.count,
            seats.allSatisfy({ (0...Self.totalMax.tenThousandths).contains($0.weight.tenThousandths) }),
            (1...Self.totalMax.tenThousandths).contains(total),
            (1...Weight.one.tenThousandths).contains(quorum.tenThousandths)
        else { return nil }
        self.seats = seats
        self.quorum = quorum
    }

    package var total: Weight { Weight(tenThousandths: seats.reduce(0) { $0 + $1.weight.tenThousandths }) }

    package func weight(of role: AgentRole) -> Weight? { seats.first { $0.role == role }?.weight }
}

extension JSONReader {
    /// A weight; nil when it is absent.
    package mutating func optionalWeight(_ field: String) throws(JSONError) -> Weight? {
        guard let value = optional(field) else { return nil }
        guard value.kind == .number, let weight = Weight(value.text) else {
            throw error(field, "must be a number from 0 with at most 4 decimal places, without exponent")
        }
        return weight
    }

    /// A session's terms in the fields `reviewers` and `quorum`, each with its default.
    ///
    /// - Parameter isStrict: refuses what a reviewer says besides role and weight, as the API's bodies do.
    package mutating func reviewTerms(isStrict: Bool = false) throws(JSONError) -> ReviewTerms {
        var seats = ReviewTerms.seatsDefault
        if let elements = try optionalObjects("reviewers", atMost: ReviewTerms.seatsMax) {
            seats = []
            for element in elements {
                var seat = element
                let role: AgentRole = try seat.name("role")
                guard let weight = try seat.optionalWeight("weight") else { throw seat.error("weight", "is required") }
                if isStrict { try seat.refuseUnknown() }
                seats.append(ReviewTerms.Seat(role: role, weight: weight))
            }
        }
        let quorum = try optionalWeight("quorum") ?? ReviewTerms.quorumDefault
        guard let terms = ReviewTerms(seats: seats, quorum: quorum) else {
            throw error(
                "reviewers",
                "must be 1 to \(ReviewTerms.seatsMax) different roles with a sum of weights from 0.0001 to "
                    + "\(ReviewTerms.totalMax), and quorum more than 0 and at most 1"
            )
        }
        return terms
    }
}

extension JSONWriter {
    /// What `reviewTerms` reads.
    package mutating func fields(_ terms: ReviewTerms) {
        field("quorum", decimal: terms.quorum.description)
        field(
            "reviewers",
            array: { writer in
                for seat in terms.seats {
                    writer.element(object: {
                        $0.field("role", seat.role.text)
                        $0.field("weight", decimal: seat.weight.description)
                    })
                }
            })
    }
}
