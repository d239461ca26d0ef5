import Testing

@testable import ReleaseGateCore

@Suite struct `Lineage of releases` {
    private static func chain(_ kinds: [LineageEntry.Kind]) throws -> [LineageEntry] {
        let version = try #require(Version("1.2.0"))
        return try kinds.enumerated().reduce(into: []) { entries, item in
            let event = LineageEntry.Event(
                atSeconds: 1_767_225_600 + item.offset, environment: .staging, version: version, digests: [],
                kind: item.element, actor: "ada", reason: "because \(item.offset)")
            entries.append(try Lineage.entry(event, after: entries.last))
        }
    }

    @Test func `is a chain in which every change shows`() throws {
        let entries = try Self.chain([.cut, .promote, .decision, .seal])
        #expect(try Lineage.fault(in: entries) == nil)
        #expect(entries[0].previousSHA256 == Lineage.genesis)
        for place in 0..<3 {
            var changed = entries
            let event = entries[place].event
            changed[place] = LineageEntry(
                sequence: place, previousSHA256: entries[place].previousSHA256,
                event: .init(
                    atSeconds: event.atSeconds, environment: event.environment, version: event.version, digests: [],
                    kind: event.kind, actor: "eve", reason: event.reason))
            #expect(try Lineage.fault(in: changed) == Lineage.Fault(sequence: place + 1, kind: .chain))
        }
        var shorter = entries
        shorter.remove(at: 1)
        #expect(try Lineage.fault(in: shorter) == Lineage.Fault(sequence: 1, kind: .gap))
        #expect(try Lineage.tree(Array(entries.dropLast())).root != Lineage.tree(entries).root)
    }

    @Test(arguments: [
        ([LineageEntry.Kind.promote], false), ([.promote, .seal], true), ([.promote, .seal, .revocation], false),
        ([.promote, .seal, .rollback], false), ([.seal, .revocation, .seal], true),
        ([.promote, .rollback, .seal], false),
    ])
    func `knows whether a seal still stands`(kinds: [LineageEntry.Kind], stands: Bool) throws {
        let entries = try Self.chain(kinds)
        let version = try #require(Version("1.2.0"))
        #expect((Lineage.seal(of: version, in: .staging, by: entries) != nil) == stands)
        #expect(Lineage.seal(of: version, in: .prod, by: entries) == nil)
    }

    @Test func `knows which numbers are burned`() throws {
        let version = try #require(Version("1.2.0"))
        #expect(Lineage.minted(try Self.chain([.cut, .promote])) == [MintedVersion(version)])
        #expect(
            Lineage.minted(try Self.chain([.cut, .rollback])) == [MintedVersion(version, rolledBackFor: "because 1")])
    }

    /// Of one environment, one second after the other; imported ones as Helm has them deployed.
    private static func happened(_ items: Happened) throws -> [LineageEntry] {
        try items.enumerated().reduce(into: []) { entries, item in
            let (kind, text) = item.element
            let event = LineageEntry.Event(
                atSeconds: 1_767_225_600 + item.offset, environment: .prod, version: try #require(Version(text)),
                digests: [], kind: kind, actor: "ada", reason: "helm: deployed; because \(item.offset)")
            entries.append(try Lineage.entry(event, after: entries.last))
        }
    }

    typealias Happened = [(LineageEntry.Kind, String)]

    private static let running: [(Happened, String)] = [
        ([(.install, "1.1.0")], ""), ([(.seal, "1.1.0")], "1.1.0"), ([(.imported, "1.1.0")], "1.1.0"),
        ([(.seal, "1.1.0"), (.seal, "1.2.0")], "1.2.0"),
        ([(.seal, "1.1.0"), (.seal, "1.2.0"), (.rollback, "1.2.0")], "1.1.0"),
        ([(.seal, "1.1.0"), (.rollback, "1.2.0")], "1.1.0"), ([(.seal, "1.1.0"), (.uninstall, "1.1.0")], ""),
        ([(.seal, "1.1.0"), (.uninstall, "1.1.0"), (.seal, "1.2.0")], "1.2.0"),
    ]

    @Test(arguments: running)
    func `knows what runs`(items: Happened, running: String) throws {
        let entries = try Self.happened(items)
        #expect(Lineage.running(in: .prod, by: entries)?.event.version == Version(running))
        #expect(Lineage.running(in: .staging, by: entries) == nil)
    }

    private static let replaced: [(Happened, String)] = [
        ([(.seal, "1.1.0")], "1.1.0"), ([(.install, "1.2.0"), (.seal, "1.1.0")], ""),
        ([(.seal, "1.1.0"), (.install, "1.2.0"), (.seal, "1.2.0"), (.seal, "1.3.0")], "1.1.0"),
        ([(.seal, "1.0.0"), (.seal, "1.1.0"), (.install, "1.2.0"), (.rollback, "1.1.0")], "1.0.0"),
        ([(.seal, "1.1.0"), (.imported, "1.2.0"), (.uninstall, "1.2.0")], ""),
    ]

    @Test(arguments: replaced)
    func `knows what a version replaces`(items: Happened, previous: String) throws {
        let version = try #require(Version("1.2.0"))
        let found = Lineage.predecessor(of: version, in: .prod, by: try Self.happened(items))
        #expect(found == Version(previous))
    }

    /// What happened, what is said to run, and what is replaced.
    private static let completed: [(Happened, String, String)] = [
        ([], "1.1.1", "1.1.1"), ([(.seal, "1.1.0")], "", "1.1.0"), ([(.seal, "1.1.0")], "1.1.1", "1.1.0"),
        ([(.seal, "1.1.0"), (.promote, "1.1.1")], "1.1.1", "1.1.1"),
        ([(.seal, "1.1.0"), (.promote, "1.1.1")], "1.1.0", "1.1.0"),
        ([(.promote, "1.1.1"), (.seal, "1.1.0")], "1.1.1", "1.1.0"),
        ([(.seal, "1.1.0"), (.promote, "1.1.1"), (.rollback, "1.1.1")], "1.1.1", "1.1.0"),
        ([(.seal, "1.1.0"), (.install, "1.2.0"), (.promote, "1.1.1")], "1.1.1", "1.1.0"),
    ]

    @Test(arguments: completed)
    func `takes a version that was promoted for one that a person may have completed`(
        items: Happened, said: String, replaced: String
    ) throws {
        let version = try #require(Version("1.2.0"))
        let found = Lineage.replaced(by: version, said: Version(said), in: .prod, by: try Self.happened(items))
        #expect(found == Version(replaced))
    }

    /// What happened, what is said to run, and where the way back leads.
    private static let ways: [(Happened, String, String)] = [
        ([], "1.1.1", "1.1.1"), ([(.seal, "1.1.0")], "", "1.1.0"), ([(.seal, "1.1.0")], "1.1.1", "1.1.1"),
        ([(.seal, "1.1.0"), (.rollback, "1.1.1")], "1.1.1", "1.1.0"),
        ([(.promote, "1.1.0"), (.seal, "1.1.0")], "1.1.1", "1.1.0"),
        ([(.seal, "1.1.0"), (.promote, "1.1.1")], "1.1.1", "1.1.1"),
    ]

    @Test(arguments: ways)
    func `goes back by what is said where nobody records promotions`(
        items: Happened, said: String, back: String
    ) throws {
        let version = try #require(Version("1.2.0"))
        let found = Lineage.wayBack(from: version, said: Version(said), in: .prod, by: try Self.happened(items))
        #expect(found == Version(back))
    }

    @Test func `knows when what it was committed to by was taken off or exchanged`() throws {
        let entries = try Self.chain([.cut, .promote, .decision, .seal])
        let root = try Lineage.tree(Array(entries.prefix(3))).root
        #expect(try Lineage.grew(from: 3, root: root, to: entries))
        #expect(try Lineage.grew(from: 3, root: root, to: Array(entries.prefix(3))))
        #expect(try !Lineage.grew(from: 3, root: root, to: Array(entries.prefix(2))))
        #expect(try !Lineage.grew(from: 3, root: root, to: try Self.chain([.cut, .promote, .seal, .seal])))
    }

    private static func leaves(_ count: Int) -> [[UInt8]] { (0..<count).map { Array("leaf \($0)".utf8) } }

    /// The eight leaves and the roots of Certificate Transparency's own tests.
    @Test func `has the roots that RFC 6962's reference has`() throws {
        let leaves: [[UInt8]] = [
            [], [0x00], [0x10], [0x20, 0x21], [0x30, 0x31], [0x40, 0x41, 0x42, 0x43],
            [0x50, 0x51, 0x52, 0x53, 0x54, 0x55, 0x56, 0x57],
            [0x60, 0x61, 0x62, 0x63, 0x64, 0x65, 0x66, 0x67, 0x68, 0x69, 0x6a, 0x6b, 0x6c, 0x6d, 0x6e, 0x6f],
        ]
        let roots = [
            1: "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
            2: "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
            3: "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
            8: "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
        ]
        for (size, root) in roots { #expect(MerkleTree(leaves: Array(leaves.prefix(size))).root.hexadecimal == root) }
        #expect(
            MerkleTree(leaves: []).root.hexadecimal
                == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855")
    }

    @Test func `shows that an entry is in it, and no other`() {
        for size in 1...20 {
            let leaves = Self.leaves(size)
            let tree = MerkleTree(leaves: leaves)
            for index in 0..<size {
                let proof = tree.inclusionProof(of: index) ?? []
                func holds(_ leaf: [UInt8], _ index: Int, _ proof: [Digest]) -> Bool {
                    MerkleProof.includes(leaf: leaf, at: index, size: size, root: tree.root, proof: proof)
                }
                #expect(holds(leaves[index], index, proof))
                #expect(!holds(Array("other".utf8), index, proof))
                #expect(!holds(leaves[index], index, proof + [tree.root]))
                if size > 1 { #expect(!holds(leaves[index], (index + 1) % size, proof)) }
            }
        }
        #expect(MerkleTree(leaves: []).inclusionProof(of: 0) == nil)
    }

    @Test func `shows that it only ever grew`() {
        for size in 1...20 {
            let tree = MerkleTree(leaves: Self.leaves(size))
            for old in 1...size {
                let oldRoot = MerkleTree(leaves: Self.leaves(old)).root
                let proof = tree.consistencyProof(from: old) ?? []
                #expect(MerkleProof.isConsistent(from: old, oldRoot, to: size, tree.root, proof: proof))
                let forged = MerkleTree(leaves: Self.leaves(old - 1) + [Array("other".utf8)]).root
                #expect(!MerkleProof.isConsistent(from: old, forged, to: size, tree.root, proof: proof))
            }
            #expect(tree.consistencyProof(from: size + 1) == nil)
        }
    }

    @Test func `is committed to by a checkpoint that opens as it was closed`() throws {
        let checkpoint = Checkpoint(
            origin: "golden.example/lineage", size: 3, root: MerkleTree(leaves: Self.leaves(3)).root)
        let lines = checkpoint.body.split(separator: "\n", omittingEmptySubsequences: false)
        #expect(lines.count == 4 && lines[1] == "3" && lines[3].isEmpty)
        let key = [UInt8](repeating: 7, count: 32)
        let signature = [UInt8](repeating: 9, count: 64)
        let note = checkpoint.note(keyName: "golden.example/gate", publicKey: key, signature: signature)
        let opened = try #require(Checkpoint.open(note: note, keyName: "golden.example/gate", publicKey: key))
        #expect(opened.checkpoint == checkpoint)
        #expect(opened.signature == signature)
        #expect(Checkpoint.open(note: note, keyName: "golden.example/gate", publicKey: signature) == nil)
        #expect(Checkpoint.open(note: checkpoint.body, keyName: "golden.example/gate", publicKey: key) == nil)
    }
}
