internal import ReleaseGateCore

/// One entry as it is kept: the exact bytes whose hash the next entry names.
package struct LineageRecord: Sendable, Equatable {
    package let entry: [UInt8]
    package let sha256: String

    package init(entry: [UInt8], sha256: String) {
        self.entry = entry
        self.sha256 = sha256
    }
}

/// What entries name by hash.
package struct LineageDocument: Sendable, Equatable {
    package enum Kind: String, Sendable, Codable, CaseIterable {
        case evidence, policy, attestation, approval, certificate, plan
    }

    package let kind: Kind
    package let bytes: [UInt8]

    package init(_ kind: Kind, _ bytes: [UInt8]) {
        self.kind = kind
        self.bytes = bytes
    }

    package var sha256: String { Digest(of: bytes).hexadecimal }
}

/// Where the lineage is kept; nothing in it is ever changed. Its conformance suite is `LineageStoreTests`.
package protocol LineageStore: Sendable {
    /// Oldest first.
    func records() async throws -> [LineageRecord]

    /// Adds an entry at `sequence`, with what it names.
    ///
    /// - Returns: false when that place is taken; nothing was kept then.
    func append(_ record: LineageRecord, at sequence: Int, naming documents: [LineageDocument]) async throws -> Bool

    /// The document's bytes as they are kept, whatever they are by now; nil when there are none.
    func document(_ sha256: String) async throws -> [UInt8]?
}
