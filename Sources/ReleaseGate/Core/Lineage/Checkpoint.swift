internal import FoundationEssentials

/// What a log commits to at one size: C2SP tlog-checkpoint, signed as a C2SP signed note.
package struct Checkpoint: Sendable, Equatable {
    /// Names the log: `golden-architecture.example/release-lineage`.
    package let origin: String
    package let size: Int
    package let root: Digest

    package init(origin: String, size: Int, root: Digest) {
        self.origin = origin
        self.size = size
        self.root = root
    }

    /// What is signed: origin, size and root in base64, each on a line.
    package var body: String { "\(origin)\n\(size)\n\(Data(root.bytes).base64EncodedString())\n" }

    /// The signed note, from an Ed25519 signature over `body`.
    package func note(keyName: String, publicKey: [UInt8], signature: [UInt8]) -> String {
        let hash = Self.keyHash(name: keyName, publicKey: publicKey)
        return "\(body)\n— \(keyName) \(Data(hash + signature).base64EncodedString())\n"
    }

    /// A note's checkpoint and the signature that the named key made; nil when either is not there.
    package static func open(
        note: String, keyName: String, publicKey: [UInt8]
    ) -> (checkpoint: Checkpoint, signature: [UInt8])? {
        let lines = note.split(separator: "\n", omittingEmptySubsequences: false)
        guard lines.count >= 6, lines[3].isEmpty, let size = Int(lines[1]), size >= 0, String(size) == lines[1],
            let encoded = Data(base64Encoded: String(lines[2])), let root = Digest(bytes: Array(encoded))
        else { return nil }
        let hash = keyHash(name: keyName, publicKey: publicKey)
        let checkpoint = Checkpoint(origin: String(lines[0]), size: size, root: root)
        for line in lines[4...] where line.hasPrefix("— \(keyName) ") {
            guard let blob = Data(base64Encoded: String(line.dropFirst(keyName.count + 3))), blob.starts(with: hash)
            else { continue }
            return (checkpoint, Array(blob.dropFirst(hash.count)))
        }
        return nil
    }

    /// The first four bytes of SHA-256(name, newline, 0x01 for Ed25519, key).
    static func keyHash(name: String, publicKey: [UInt8]) -> [UInt8] {
        Array(Digest(of: Array(name.utf8) + [0x0A, 0x01] + publicKey).bytes.prefix(4))
    }
}
