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
        if let named = environment["GOLDEN_BIN"] { folder = named } else { folder = parent(of: try ownPath()) }
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
    static func migrations(environment: [String: String]) throws(CLIError) -> String {
        if let named = environment["GOLDEN_MIGRATIONS"] { return named }
        var folder = parent(of: try ownPath())
        for _ in 0..<6 where folder != "/" {
            for candidate in ["\(folder)/migrations", "\(folder)/share/golden/migrations"]
            where FileManager.default.fileExists(atPath: "\(candidate)/001_initial_schema.sql") {
                return candidate
            }
            folder = parent(of: folder)
        }
        throw CLIError(
            .missingProgram, "The migrations folder was not found near golden.",
            next: "Set GOLDEN_MIGRATIONS to the folder that holds 001_initial_schema.sql."
        )
    }

    static func parent(of path: String) -> String {
        guard let slash = path.lastIndex(of: "/"), slash != path.startIndex else { return "/" }
        return String(path[..<slash])
    }
}
