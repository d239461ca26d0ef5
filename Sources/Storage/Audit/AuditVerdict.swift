/// What became of verifying one chain.
package struct AuditVerdict: Sendable, Equatable {
    /// The first place where a chain is not what was once appended.
    package struct Break: Sendable, Equatable {
        package enum Kind: String, Sendable {
            /// A field of the row is not what its hash covers.
            case changed
            /// The row does not go on from the one before.
            case unlinked
            /// There is no row of this sequence though later ones, or the chain's end, say that there was.
            case missing
            /// The row is not what the chain's end says was appended last.
            case endMismatch = "end_mismatch"
        }

        package let sequence: Int
        package let kind: Kind

        package init(sequence: Int, kind: Kind) {
            self.sequence = sequence
            self.kind = kind
        }
    }

    package let chain: String
    /// Rows found in order, from the first.
    package let rows: Int
    /// The hash of the last of them. Kept elsewhere, it proves later that nothing before it was rewritten.
    package let hash: [UInt8]
    package let broken: Break?
}

/// A walk along one chain: pure, one row after the other.
struct AuditWalk {
    let chain: String
    private(set) var rows = 0
    private(set) var broken: AuditVerdict.Break?
    private var hash = AuditRow.genesis

    init(chain: String) {
        self.chain = chain
    }

    /// Only the first break counts; what follows it proves nothing.
    mutating func take(_ row: AuditRow) {
        guard broken == nil else { return }
        if row.sequence != rows + 1 {
            broken = .init(sequence: rows + 1, kind: .missing)
        } else if row.sealed != row.hash {
            broken = .init(sequence: row.sequence, kind: .changed)
        } else if row.previousHash != hash || row.tenant != chain {
            broken = .init(sequence: row.sequence, kind: .unlinked)
        } else {
            rows += 1
            hash = row.hash
        }
    }

    /// Compares the chain's end with the last row.
    func judge(_ head: AuditHead?) -> AuditVerdict.Break? {
        guard let head else { return rows == 0 ? nil : .init(sequence: rows, kind: .endMismatch) }
        if head.sequence > rows { return .init(sequence: rows + 1, kind: .missing) }
        return head.sequence == rows && head.hash == hash ? nil : .init(sequence: max(1, rows), kind: .endMismatch)
    }

    func verdict(_ broken: AuditVerdict.Break?) -> AuditVerdict {
        AuditVerdict(chain: chain, rows: rows, hash: hash, broken: broken)
    }
}
