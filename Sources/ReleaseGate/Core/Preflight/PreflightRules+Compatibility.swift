extension PreflightRules {
    /// Whether what runs on the database now may run while the release replaces it. The database says which versions
    /// that can be: those whose newest migration is its own.
    static func compatibility(_ facts: PreflightFacts) -> [PreflightFinding] {
        let requirements = ["C21"]
        let known: PreflightFacts.Compatibility
        switch facts.compatibility {
        case .answered(let answer): known = answer
        case .unreachable(let why), .notAsked(let why):
            return [
                unnamed(
                    .versionCompatibility, requirements, "which versions may run at once is not known: \(why)", facts,
                    next: "release-gate preflight --compatibility release/compatibility.yaml")
            ]
        }
        let refusals = CompatibilityRules.refusals(cutting: known.version, known.matrix)
        guard refusals.isEmpty, let row = known.matrix.row(of: known.version) else {
            return refusals.map { refusal in
                PreflightFinding(
                    .versionCompatibility, .failed, requirements, refusal.message,
                    next: "Write it down: docs/releasing.md, “Which versions run at once”.")
            }
        }
        // A database that did not answer was said already.
        guard case .answered(let postgres) = facts.postgres else { return [] }
        return [finding(known, row, applied: postgres.migrations.applied, requirements)]
    }

    private static func finding(
        _ known: PreflightFacts.Compatibility, _ row: CompatibilityMatrix.Row, applied: Int, _ requirements: [String]
    ) -> PreflightFinding {
        func ok(_ found: String) -> PreflightFinding {
            PreflightFinding(.versionCompatibility, .ok, requirements, found)
        }
        if applied == 0 { return ok("nothing runs there yet") }
        if applied == row.schema { return ok("the database is at \(applied), the schema of \(known.version)") }
        let candidates = known.matrix.versions.filter { $0.schema == applied }.map(\.version)
        let names = candidates.map(\.description).joined(separator: ", ")
        if applied < row.schema, let older = candidates.last(where: { known.matrix.runs($0, beside: known.version) }) {
            return ok("the database is at \(applied), of \(older), which runs beside \(known.version)")
        }
        return PreflightFinding(
            .versionCompatibility, .failed, requirements,
            "the database is at \(applied) (\(names.isEmpty ? "of no version in the matrix" : names)), "
                + "which does not run beside \(known.version) at \(row.schema)",
            next: "Release the versions between first, or stop what runs: it would fail on the new schema.")
    }
}
