/// A Merkle tree over a growing log, with the proofs of RFC 6962, section 2.1.
///
/// A proof of inclusion shows that an entry is in the log, one of consistency that a longer log only adds to a shorter.
package struct MerkleTree: Sendable {
    private let hashes: [Digest]

    package init(leaves: [[UInt8]]) {
        hashes = leaves.map(Self.leafHash)
    }

    package var size: Int { hashes.count }

    package var root: Digest { Self.root(hashes[...]) }

    /// Nil when there is no such leaf.
    package func inclusionProof(of index: Int) -> [Digest]? {
        hashes.indices.contains(index) ? Self.path(index, in: hashes[...]) : nil
    }

    /// From a tree of the first `size` leaves to this one; nil unless it was smaller or equal, and not empty.
    package func consistencyProof(from size: Int) -> [Digest]? {
        (1...max(1, hashes.count)).contains(size) && !hashes.isEmpty
            ? Self.subproof(size, in: hashes[...], isWhole: true) : nil
    }

    package static func leafHash(_ leaf: [UInt8]) -> Digest { Digest(of: [0] + leaf) }

    static func nodeHash(_ left: Digest, _ right: Digest) -> Digest { Digest(of: [1] + left.bytes + right.bytes) }

    private static func root(_ hashes: ArraySlice<Digest>) -> Digest {
        guard let first = hashes.first else { return Digest(of: []) }
        guard hashes.count > 1 else { return first }
        let middle = hashes.startIndex + split(hashes.count)
        return nodeHash(root(hashes[..<middle]), root(hashes[middle...]))
    }

    /// The largest power of two below `count`.
    private static func split(_ count: Int) -> Int {
        var power = 1
        while power * 2 < count { power *= 2 }
        return power
    }

    private static func path(_ index: Int, in hashes: ArraySlice<Digest>) -> [Digest] {
        guard hashes.count > 1 else { return [] }
        let half = split(hashes.count)
        let middle = hashes.startIndex + half
        return index < half
            ? path(index, in: hashes[..<middle]) + [root(hashes[middle...])]
            : path(index - half, in: hashes[middle...]) + [root(hashes[..<middle])]
    }

    private static func subproof(_ size: Int, in hashes: ArraySlice<Digest>, isWhole: Bool) -> [Digest] {
        if size == hashes.count { return isWhole ? [] : [root(hashes)] }
        let half = split(hashes.count)
        let middle = hashes.startIndex + half
        return size <= half
            ? subproof(size, in: hashes[..<middle], isWhole: isWhole) + [root(hashes[middle...])]
            : subproof(size - half, in: hashes[middle...], isWhole: false) + [root(hashes[..<middle])]
    }
}
