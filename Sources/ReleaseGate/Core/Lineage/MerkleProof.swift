/// Checks proofs without the log, as others do: RFC 9162, sections 2.1.3.2 and 2.1.4.2.
package enum MerkleProof {
    package static func includes(
        leaf: [UInt8], at index: Int, size: Int, root: Digest, proof: [Digest]
    ) -> Bool {
        guard index >= 0, index < size else { return false }
        var (node, last) = (index, size - 1)
        var hash = MerkleTree.leafHash(leaf)
        for sibling in proof {
            if last == 0 { return false }
            if node % 2 == 1 || node == last {
                hash = MerkleTree.nodeHash(sibling, hash)
                while node % 2 == 0, node != 0 { (node, last) = (node >> 1, last >> 1) }
            } else {
                hash = MerkleTree.nodeHash(hash, sibling)
            }
            (node, last) = (node >> 1, last >> 1)
        }
        return last == 0 && hash == root
    }

    package static func isConsistent(
        from oldSize: Int, _ oldRoot: Digest, to newSize: Int, _ newRoot: Digest, proof: [Digest]
    ) -> Bool {
        guard oldSize > 0, oldSize <= newSize else { return false }
        if oldSize == newSize { return proof.isEmpty && oldRoot == newRoot }
        // A tree that is whole is its own first node.
        var path = oldSize & (oldSize - 1) == 0 ? [oldRoot] + proof : proof
        guard !path.isEmpty else { return false }
        var (node, last) = (oldSize - 1, newSize - 1)
        while node % 2 == 1 { (node, last) = (node >> 1, last >> 1) }
        let first = path.removeFirst()
        var (old, new) = (first, first)
        for sibling in path {
            if last == 0 { return false }
            if node % 2 == 1 || node == last {
                old = MerkleTree.nodeHash(sibling, old)
                new = MerkleTree.nodeHash(sibling, new)
                while node % 2 == 0, node != 0 { (node, last) = (node >> 1, last >> 1) }
            } else {
                new = MerkleTree.nodeHash(new, sibling)
            }
            (node, last) = (node >> 1, last >> 1)
        }
        return last == 0 && old == oldRoot && new == newRoot
    }
}
