package import FoundationEssentials

/// What a reviewer thinks of an artifact.
package enum VoteChoice: String, Sendable, CaseIterable {
    /// Counts the whole weight.
    case approve
    /// Counts half of it.
    case conditional
    /// Counts nothing, and speaks against.
    case reject
    /// Counts nothing and speaks for nothing; the total stays what it is.
    case abstain
}

/// What decides: one vote without its words.
package struct CastVote: Sendable, Equatable {
    package let reviewer: String
    package let role: AgentRole
    package let choice: VoteChoice

    package init(reviewer: String, role: AgentRole, choice: VoteChoice) {
        self.reviewer = reviewer
        self.role = role
        self.choice = choice
    }
}

/// A vote with its reasons, as it was recorded.
package struct ReviewVote: Sendable, Equatable {
    package let cast: CastVote
    package let owner: String
    package let weight: Weight
    package let opinion: ReviewOpinion
    package let votedAt: Date

    package init(cast: CastVote, owner: String, weight: Weight, opinion: ReviewOpinion, votedAt: Date) {
        self.cast = cast
        self.owner = owner
        self.weight = weight
        self.opinion = opinion
        self.votedAt = votedAt
    }
}

/// The words of a vote, from outside: data, kept as it came and never acted on.
package struct ReviewOpinion: Sendable, Equatable {
    package static let rationaleBytesMax = 4096
    package static let concernsMax = 50
    /// All concerns together.
    package static let concernsBytesMax = 32 << 10

    package let rationale: String
    /// A list of texts and objects.
    package let concerns: JSON

    package init(rationale: String, concerns: JSON) {
        self.rationale = rationale
        self.concerns = concerns
    }

    /// The fields `rationale` and `concerns`; both may be absent.
    package init(from body: inout JSONReader) throws(JSONError) {
        let isSilent = body.optional("rationale") == nil
        rationale = isSilent ? "" : try body.bounded("rationale", bytesMax: Self.rationaleBytesMax)
        guard let concerns = body.optional("concerns") else {
            self.concerns = JSONWriter.array { _ in }
            return
        }
        guard let elements = concerns.array, elements.count <= Self.concernsMax,
            elements.allSatisfy({ $0.kind == .string || $0.kind == .object }),
            concerns.bytes.count <= Self.concernsBytesMax
        else {
            throw body.error(
                "concerns",
                "must be a list of at most \(Self.concernsMax) texts or objects, \(Self.concernsBytesMax) bytes in all"
            )
        }
        self.concerns = concerns
    }
}

/// A vote as a reviewer sends it: `{"vote": …, "concerns": […], "rationale": …, "artifact_sha256": …}`.
package struct VoteBody: Sendable, Equatable {
    package let choice: VoteChoice
    package let opinion: ReviewOpinion
    /// What was looked at. An agent may leave it out: its work item is bound to one artifact.
    package let artifact: ArtifactHash?

    /// Reads the fields from a body that may hold others.
    package init(from body: inout JSONReader) throws(JSONError) {
        guard let choice = VoteChoice(rawValue: try body.string("vote")) else {
            throw body.error("vote", "must be one of \(VoteChoice.allCases.map(\.rawValue).joined(separator: ", "))")
        }
        self.choice = choice
        opinion = try ReviewOpinion(from: &body)
        artifact = try body.optionalArtifactHash("artifact_sha256")
    }
}

/// The SHA-256 of what is reviewed.
package struct ArtifactHash: Sendable, Hashable, CustomStringConvertible {
    package static let byteCount = 32

    package let bytes: [UInt8]

    /// Nil unless there are 32 bytes.
    package init?(bytes: some Sequence<UInt8>) {
        let bytes = Array(bytes)
        guard bytes.count == Self.byteCount else { return nil }
        self.bytes = bytes
    }

    /// Nil unless `text` is 64 hexadecimal digits.
    package init?(_ text: String) {
        let digits = text.utf8.compactMap(hexDigit)
        guard text.utf8.count == 2 * Self.byteCount, digits.count == 2 * Self.byteCount else { return nil }
        bytes = stride(from: 0, to: digits.count, by: 2).map { UInt8(digits[$0]) << 4 | UInt8(digits[$0 + 1]) }
    }

    package var description: String {
        var text: [UInt8] = []
        for byte in bytes { Hexadecimal.append(byte, to: &text) }
        return String(decoding: text, as: UTF8.self)
    }
}

extension JSONReader {
    /// 64 hexadecimal digits; nil when the field is absent.
    package mutating func optionalArtifactHash(_ field: String) throws(JSONError) -> ArtifactHash? {
        guard let text = try optionalString(field) else { return nil }
        guard let hash = ArtifactHash(text) else { throw error(field, "must be a SHA-256 in 64 hexadecimal digits") }
        return hash
    }
}
