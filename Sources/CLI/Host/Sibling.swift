internal import FoundationEssentials

/// The programs that were built beside this one, and the files that belong to them.
enum Sibling {
    /// This program's own path.
    static func ownPath() throws(CLIError) -> String {
        do {
            return try FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/exe")
        } catch {
            throw CLIError(.missingProgram, "This program cannot find its own path.", underlying: error)
        }
    }

    /// The program called `name` in this program's folder (or the one GOLDEN_BIN names).
    static func path(_ name: String, environment: [String: String]) throws(CLIError) -> String {
        let folder: String
        if let named = environment["GOLDEN_BIN"] {
            folder = absolute(named)
        } else {
            folder = parent(of: try ownPath())
        }
        let path = "\(folder)/\(name)"
        guard FileManager.default.isExecutableFile(atPath: path) else {
            throw CLIError(
                .missingProgram, "\(name) is not beside golden (looked in \(folder)).",
                next: "Build it: swift build -c release --product \(name)"
            )
        }
        return path
    }

    /// The folder of the migrations: GOLDEN_MIGRATIONS, or found upwards from this program.
    ///
    /// - Parameter programs: where to look from; this program's folder otherwise.
    static func migrations(
        environment: [String: String], near programs: String? = nil
    ) throws(CLIError) -> String {
        try folder("migrations", holding: firstMigration, named: "GOLDEN_MIGRATIONS", environment, programs)
    }

    /// In every folder of migrations.
    static let firstMigration = "001_initial_schema.sql"

    /// Below `k8s`: the alert rules, which the chart installs.
    static let rulesFolder = "charts/golden/rules"

    /// The folder of alert rules and dashboards: GOLDEN_K8S, or found upwards from this program.
    static func k8s(environment: [String: String]) throws(CLIError) -> String {
        try folder("k8s", holding: rulesFolder, named: "GOLDEN_K8S", environment)
    }

    private static func folder(
        _ name: String, holding content: String, named variable: String, _ environment: [String: String],
        _ start: String? = nil
    ) throws(CLIError) -> String {
        if let named = environment[variable] { return absolute(named) }
        var folder: String
        if let start { folder = start } else { folder = parent(of: try ownPath()) }
        for _ in 0..<6 where folder != "/" {
            for candidate in ["\(folder)/\(name)", "\(folder)/share/golden/\(name)"]
            where FileManager.default.fileExists(atPath: "\(candidate)/\(content)") {
                return candidate
            }
            folder = parent(of: folder)
        }
        throw CLIError(
            .missingProgram, "The folder \(name) was not found near golden.",
            next: "Set \(variable) to the folder that holds \(content)."
        )
    }

    /// A path as the caller means it, for programs that run elsewhere.
    static func absolute(_ path: String) -> String {
        path.isEmpty || path.hasPrefix("/") ? path : "\(FileManager.default.currentDirectoryPath)/\(path)"
    }

    static func parent(of path: String) -> String {
        guard let slash = path.lastIndex(of: "/"), slash != path.startIndex else { return "/" }
        return String(path[..<slash])
    }
}
