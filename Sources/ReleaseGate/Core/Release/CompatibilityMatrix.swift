/// Which versions may run at the same time: while one replaces the other, and after the way back. A row for every
/// version, newest last; `release/compatibility.yaml` is ours.
package struct CompatibilityMatrix: Sendable, Equatable, Codable {
    package struct Row: Sendable, Equatable, Codable {
        package let version: Version
        /// The newest migration that it brings, and needs.
        package let schema: Int
        /// The wire form of its messages.
        package let messages: Int
        /// Older versions whose programs run on this schema and read these messages.
        package let runsBeside: [Version]
        /// Why the version before is not among them.
        package let breaks: String?

        package init(version: Version, schema: Int, messages: Int, runsBeside: [Version], breaks: String? = nil) {
            self.version = version
            self.schema = schema
            self.messages = messages
            self.runsBeside = runsBeside
            self.breaks = breaks
        }
    }

    package let versions: [Row]

    package init(versions: [Row]) { self.versions = versions }

    /// A pre-release stands in the row of the release that it is on the way to, unless it has its own.
    package func row(of version: Version) -> Row? {
        versions.first { $0.version == version } ?? versions.first { $0.version == version.release }
    }

    /// Whether `older` may run while `newer` does. What nobody wrote down is no.
    package func runs(_ older: Version, beside newer: Version) -> Bool {
        guard let row = row(of: newer) else { return false }
        return row.version == older.release || row.runsBeside.contains { $0 == older || $0 == older.release }
    }

    /// Whether what ran before can still run once `version` was there.
    package func schema(of version: Version, after previous: Version?) -> SchemaState {
        guard row(of: version) != nil else { return .pastContract }
        guard let previous else { return .compatible }
        return runs(previous, beside: version) ? .compatible : .pastContract
    }

    /// What is wrong with the matrix itself, in words; empty when nothing is.
    package var faults: [String] {
        guard !versions.isEmpty else { return ["it has no rows"] }
        var faults: [String] = []
        for (older, row) in zip([nil] + versions.map(Optional.some), versions) {
            for stranger in row.runsBeside where !versions.contains(where: { $0.version == stranger }) {
                faults.append("\(row.version): \(stranger), beside which it runs, has no row")
            }
            for younger in row.runsBeside where younger >= row.version {
                faults.append("\(row.version): \(younger) is not older")
            }
            if let older { faults += Self.faults(row, after: older) }
        }
        return faults
    }

    /// N and N-1.
    private static func faults(_ row: Row, after older: Row) -> [String] {
        var faults: [String] = []
        let name = "\(row.version) after \(older.version)"
        if row.version <= older.version { faults.append("\(name): rows are in the versions' order") }
        if row.schema < older.schema { faults.append("\(name): migrations are never taken away") }
        if row.messages < older.messages { faults.append("\(name): the messages' form goes back") }
        switch (row.runsBeside.contains(older.version), row.breaks) {
        case (true, nil): break
        case (true, _?): faults.append("\(name): says that it runs beside it, and why it does not")
        case (false, nil): faults.append("\(name): neither runs beside it nor says what breaks")
        case (false, _?):
            // Before 1.0.0 the minor number says that something broke.
            let isAnnounced =
                row.version.major > older.version.major
                || (row.version.major == 0 && row.version.minor > older.version.minor)
            if !isAnnounced { faults.append("\(name): only a major version may break with the one before") }
        }
        if row.runsBeside.contains(older.version), row.messages > older.messages + 1 {
            faults.append("\(name): messages two forms apart are not read by both")
        }
        return faults
    }
}

/// What the matrix says of one release.
package enum CompatibilityRules {
    package struct Ruling: Sendable, Equatable {
        package var refusals: [Refusal] = []
        package var warnings: [String] = []
        package var lines: [String] = []
    }

    /// May a version be cut: is it written down beside what it runs?
    package static func refusals(cutting version: Version, _ matrix: CompatibilityMatrix?) -> [Refusal] {
        guard let matrix else { return [Refusal(.compatibility, "gate.yaml names no compatibility matrix")] }
        var refusals = matrix.faults.map { Refusal(.compatibility, $0) }
        if matrix.row(of: version) == nil {
            refusals.append(Refusal(.compatibility, "the matrix has no row for \(version)"))
        }
        return refusals
    }

    /// May it replace what runs, pod by pod? A version that says what breaks may, with a warning: there is no way back.
    package static func judge(
        _ version: Version, after previous: Version?, bump: VersionRules.Bump?, _ matrix: CompatibilityMatrix?
    ) -> Ruling {
        var ruling = Ruling(refusals: refusals(cutting: version, matrix))
        guard let matrix, let row = matrix.row(of: version) else { return ruling }
        guard let previous else {
            ruling.lines.append("compatibility: \(version) replaces nothing")
            return ruling
        }
        if matrix.runs(previous, beside: version) {
            ruling.lines.append("compatibility: \(previous) runs beside \(version), on schema \(row.schema)")
        } else if let reason = row.breaks, bump != .patch {
            ruling.warnings.append(
                "compatibility: \(previous) does not run beside \(version), and there is no way back: \(reason)")
        } else {
            ruling.refusals.append(Refusal(.compatibility, "\(previous) does not run beside \(version)"))
        }
        return ruling
    }
}
