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
        Self.append(previousHash, previousHash.count, to: &bytes)
        Self.append(UInt64(bitPattern: Int64(sequence)), to: &bytes)
        Self.append(UInt64(bitPattern: Int64(atMicroseconds ?? .min)), to: &bytes)
        Self.append(tenant, to: &bytes)
        Self.append(actor, to: &bytes)
        Self.append(actorRole, to: &bytes)
        Self.append(action, to: &bytes)
        Self.append(resource, to: &bytes)
        Self.append(outcome, to: &bytes)
        Self.append(reason, to: &bytes)
        Self.append(traceID, to: &bytes)
        Self.append(detail, detail.count, to: &bytes)
        return Array(SHA256.hash(data: bytes))
    }

    /// The hash before a chain's first row.
    static let genesis = [UInt8](repeating: 0, count: 32)

    private static func append(_ text: String?, to bytes: inout [UInt8]) {
        guard let text else { return append(UInt64.max, to: &bytes) }
        append(text.utf8, text.utf8.count, to: &bytes)
    }

    private static func append(_ field: some Sequence<UInt8>, _ count: Int, to bytes: inout [UInt8]) {
        append(UInt64(count), to: &bytes)
        bytes.append(contentsOf: field)
    }

    private static func append(_ word: UInt64, to bytes: inout [UInt8]) {
        withUnsafeBytes(of: word.bigEndian) { bytes.append(contentsOf: $0) }
    }
}
