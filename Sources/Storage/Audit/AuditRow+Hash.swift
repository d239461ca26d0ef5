internal import Crypto

extension AuditRow {
    /// What `hash` must be.
    ///
    /// SHA-256 over `golden-audit-1`, the previous hash (with its length), sequence and time (8 bytes each), then
    /// tenant, actor, role, action, resource, outcome, reason, trace and detail: each its length in 8 bytes, then its
    /// bytes; an absent one has the length of all ones. Words are big-endian; lengths keep `ab, c` apart from `a, bc`.
    var sealed: [UInt8] {
        var bytes = Array("golden-audit-1".utf8)
        bytes.reserveCapacity(512 + detail.count)
        Self.append(previousHash, to: &bytes)
        Self.append(UInt64(bitPattern: Int64(sequence)), to: &bytes)
        Self.append(UInt64(bitPattern: Int64(atMicroseconds ?? .min)), to: &bytes)
        for text in [tenant, actor, actorRole, action, resource, outcome, reason, traceID] {
            Self.append(text.map { Array($0.utf8) }, to: &bytes)
        }
        Self.append(detail, to: &bytes)
        return Array(SHA256.hash(data: bytes))
    }

    /// The hash before a chain's first row.
    static let genesis = [UInt8](repeating: 0, count: 32)

    private static func append(_ field: [UInt8]?, to bytes: inout [UInt8]) {
        append(field.map { UInt64($0.count) } ?? .max, to: &bytes)
        bytes += field ?? []
    }

    private static func append(_ word: UInt64, to bytes: inout [UInt8]) {
        for shift in stride(from: 56, through: 0, by: -8) { bytes.append(UInt8(truncatingIfNeeded: word >> shift)) }
    }
}
