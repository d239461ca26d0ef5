import ReleaseGateCore
import Testing

@Suite struct `Where a release comes from` {
    private static let other = String(repeating: "8", count: 40)

    private static func messages(_ change: (inout PromotionRequest) throws -> Void) throws -> [String] {
        var request = try Promotion.request()
        try change(&request)
        return PromotionRules.judge(request, policy: PromotionPolicy()).refusals.map(\.description)
    }

    private static func built(
        from uri: String, _ commit: String, _ request: PromotionRequest
    ) -> [Attestation] {
        let build = Attestation.Provenance(builder: "ci", sources: [.init(uri: uri, commit: commit)])
        return request.attestations.filter { $0.claim == .image }
            + request.train.artifacts.map { Attestation(.provenance(build), artifact: $0, keyID: "key") }
    }

    @Test func `it is said when it is in order`() throws {
        let lines = PromotionRules.judge(try Promotion.request(), policy: PromotionPolicy()).lines
        #expect(lines.contains("signatures: all 1 images are signed"))
        #expect(lines.contains("provenance: all 2 artifacts were built from \(Promotion.commit)"))
        #expect(lines.contains("compatibility: 1.1.0 runs beside 1.2.0, on schema 18"))
    }

    @Test func `an image that nobody signed is refused`() throws {
        let found = try Self.messages { request in request.attestations.removeAll { $0.claim == .image } }
        #expect(found == ["signature: orchestrator@sha256:aaaaaaaaaaaa…: no trusted key signed it under this name"])
    }

    @Test func `a signature is for one name and one digest`() throws {
        for (name, digit) in [("orchestrator", "b"), ("stranger", "a")] {
            let found = try Self.messages { request in
                request.attestations.removeAll { $0.claim == .image }
                request.attestations.append(
                    Attestation(.image, artifact: try Promotion.digest(name, digit), keyID: "key"))
            }
            #expect(found.count == 1 && found[0].hasPrefix("signature: orchestrator@"), "\(found)")
        }
    }

    @Test func `what no trusted builder built is refused`() throws {
        let chart = try Self.messages { request in
            request.attestations.removeAll { $0.claim != .image }
        }
        #expect(chart.count == 2 && chart.allSatisfy { $0.contains("no trusted builder says how it was built") })
    }

    @Test func `another commit and another repository are refused`() throws {
        let commit = try Self.messages { request in
            request.attestations = Self.built(from: "git+https://git.example/golden", Self.other, request)
        }
        #expect(
            commit.count == 2 && commit[0].contains("was built from \(Self.other), released is \(Promotion.commit)"))
        let fork = try Self.messages { request in
            request.attestations = Self.built(from: "git+https://git.example/fork", Promotion.commit, request)
        }
        let text = "was built from https://git.example/fork, not from https://git.example/golden"
        #expect(fork.count == 2 && fork[0].contains(text), "\(fork)")
        let nameless = try Self.messages { $0.origin = .init(commit: nil, repository: nil) }
        #expect(nameless.count == 2 && nameless[0].contains("release.yaml names no commit"))
    }

    @Test(arguments: [
        ("git+https://git.example/golden@refs/heads/main", "https://git.example/golden"),
        ("git+ssh://git@git.example/golden", "ssh://git@git.example/golden"), ("https://x/y", "https://x/y"),
    ])
    func `a repository is told without its reference`(uri: String, repository: String) {
        #expect(Attestation.Source(uri: uri, commit: Self.other).repository == repository)
    }

    @Test func `development takes what was just built`() throws {
        var request = try Promotion.request(from: nil, to: .dev)
        (request.attestations, request.compatibility) = ([], nil)
        #expect(Promotion.codes(request) == [])
    }
}

@Suite struct `The compatibility matrix` {
    private static func row(
        _ version: String, _ schema: Int, _ messages: Int = 1, beside: [String] = [], breaks: String? = nil
    ) throws -> CompatibilityMatrix.Row {
        .init(
            version: try #require(Version(version)), schema: schema, messages: messages,
            runsBeside: try beside.map { try #require(Version($0)) }, breaks: breaks)
    }

    private static func version(_ text: String) throws -> Version { try #require(Version(text)) }

    private static func matrix() throws -> CompatibilityMatrix {
        CompatibilityMatrix(versions: [
            try row("1.0.0", 10), try row("1.1.0", 12, beside: ["1.0.0"]), try row("1.2.0", 13, beside: ["1.1.0"]),
            try row("2.0.0", 14, 2, breaks: "the column is gone"),
        ])
    }

    @Test func `is in order when every version says how it stands to the one before`() throws {
        #expect(try Self.matrix().faults == [])
    }

    @Test func `is found fault with`() throws {
        let first = try Self.row("1.0.0", 10)
        let cases: [([CompatibilityMatrix.Row], String)] = [
            ([], "it has no rows"),
            ([first, try Self.row("1.1.0", 11)], "neither runs beside it nor says what breaks"),
            ([first, try Self.row("1.1.0", 11, breaks: "it")], "only a major version may break"),
            ([first, try Self.row("2.0.0", 11, beside: ["1.0.0"], breaks: "it")], "and why it does not"),
            ([first, try Self.row("1.1.0", 9, beside: ["1.0.0"])], "migrations are never taken away"),
            ([first, try Self.row("1.1.0", 11, 0, beside: ["1.0.0"])], "the messages' form goes back"),
            ([first, try Self.row("1.1.0", 11, 3, beside: ["1.0.0"])], "two forms apart"),
            (
                [first, try Self.row("1.1.0", 11, beside: ["1.0.0", "0.9.0"])],
                "0.9.0, beside which it runs, has no row"
            ),
            ([first, try Self.row("1.1.0", 11, beside: ["1.0.0", "1.1.0"])], "1.1.0 is not older"),
            ([try Self.row("1.1.0", 10), try Self.row("1.0.0", 11, beside: ["1.1.0"])], "in the versions' order"),
        ]
        for (rows, fault) in cases {
            let faults = CompatibilityMatrix(versions: rows).faults
            #expect(faults.contains { $0.contains(fault) }, "\(fault): \(faults)")
        }
        // Before 1.0.0 a minor version may break.
        let early = [try Self.row("0.1.0", 1), try Self.row("0.2.0", 2, breaks: "it")]
        #expect(CompatibilityMatrix(versions: early).faults == [])
    }

    @Test(arguments: [
        ("1.1.0", "1.2.0", true), ("1.0.0", "1.2.0", false), ("1.2.0", "2.0.0", false), ("1.1.0", "1.2.0-rc.1", true),
        ("1.1.0-rc.3", "1.2.0", true), ("1.2.0-rc.1", "1.2.0", true), ("1.2.0", "1.1.0", false),
        ("1.2.0", "1.3.0", false),
    ])
    func `knows who runs beside whom`(older: String, newer: String, runs: Bool) throws {
        let matrix = try Self.matrix()
        let (older, newer) = (try Self.version(older), try Self.version(newer))
        #expect(matrix.runs(older, beside: newer) == runs)
        #expect(matrix.schema(of: newer, after: older) == (runs ? .compatible : .pastContract))
    }

    @Test func `a first release has nobody beside it, and an unknown one no way back`() throws {
        let matrix = try Self.matrix()
        #expect(matrix.schema(of: try Self.version("1.2.0"), after: nil) == .compatible)
        #expect(matrix.schema(of: try Self.version("1.3.0"), after: nil) == .pastContract)
    }

    private static func ruling(_ change: (inout PromotionRequest) throws -> Void) throws -> PromotionRuling {
        var request = try Promotion.request()
        try change(&request)
        return PromotionRules.judge(request, policy: PromotionPolicy())
    }

    @Test func `a promotion needs it, with a row and the version before in it`() throws {
        let cases: [(String, (inout PromotionRequest) throws -> Void)] = [
            ("gate.yaml names no compatibility matrix", { $0.compatibility = nil }),
            (
                "the matrix has no row for 1.2.0",
                { $0.compatibility = CompatibilityMatrix(versions: [try Self.row("1.1.0", 1)]) }
            ),
            ("1.0.0 does not run beside 1.2.0", { $0.previousVersion = try Self.version("1.0.0") }),
            (
                "1.2.0 after 1.1.0: neither runs beside it nor says what breaks",
                {
                    $0.compatibility = CompatibilityMatrix(versions: [
                        try Self.row("1.1.0", 1), try Self.row("1.2.0", 2),
                    ])
                }
            ),
        ]
        for (message, change) in cases {
            let refusals = try Self.ruling(change).refusals
            #expect(refusals.contains { $0.code == .compatibility && $0.message == message }, "\(message): \(refusals)")
        }
        let first = try Self.ruling { $0.previousVersion = nil }
        #expect(first.isAllowed && first.lines.contains("compatibility: 1.2.0 replaces nothing"))
    }

    @Test func `a version that says what breaks goes, with a warning`() throws {
        let ruling = try Self.ruling {
            $0.compatibility = CompatibilityMatrix(versions: [
                try Self.row("0.9.0", 1), try Self.row("1.1.0", 1, breaks: "all"),
                try Self.row("1.2.0", 2, beside: ["1.1.0"]),
            ])
            $0.previousVersion = try Self.version("1.1.0")
        }
        #expect(ruling.isAllowed)
        var request = try Promotion.request()
        let train = ReleaseTrain(
            version: try Self.version("2.0.0"), chart: request.train.chart, manifests: request.train.manifests,
            cars: request.train.cars)
        request.compatibility = try Self.matrix()
        let broken = CompatibilityRules.judge(
            train.version, after: try Self.version("1.2.0"), bump: .major, request.compatibility)
        #expect(broken.refusals.isEmpty && broken.warnings.count == 1)
        #expect(broken.warnings[0].contains("there is no way back: the column is gone"))
        let patch = CompatibilityRules.judge(
            train.version, after: try Self.version("1.2.0"), bump: .patch, request.compatibility)
        #expect(patch.refusals.map(\.code) == [.compatibility])
    }
}
