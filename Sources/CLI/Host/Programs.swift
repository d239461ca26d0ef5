internal import FoundationEssentials

/// Finds installed programs and says which package brings a missing one.
enum Programs {
    /// Where Debian keeps servers; appended to PATH, because an ordinary account's PATH lacks /usr/sbin.
    static let systemFolders = ["/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin"]
    static let postgresMajorMin = 15

    /// The program's absolute path, or nil.
    static func find(_ name: String, environment: [String: String]) -> String? {
        let own = (environment["PATH"] ?? "").split(separator: ":").map(String.init)
        return (own + systemFolders).map { "\($0)/\(name)" }.first { FileManager.default.isExecutableFile(atPath: $0) }
    }

    static func require(_ name: String, package: String, environment: [String: String]) throws(CLIError) -> String {
        if let path = find(name, environment: environment) { return path }
        throw missing(name, package: package)
    }

    /// The folder of postgres' programs: GOLDEN_POSTGRES_BIN, Debian's newest from 15 on, or PATH's.
    static func postgresFolder(environment: [String: String]) throws(CLIError) -> String {
        var candidates = [environment["GOLDEN_POSTGRES_BIN"]].compactMap(\.self).map(Sibling.absolute)
        candidates += installedMajors().map { "/usr/lib/postgresql/\($0)/bin" }
        if let found = find("initdb", environment: environment) { candidates.append(Sibling.parent(of: found)) }
        for folder in candidates where FileManager.default.isExecutableFile(atPath: "\(folder)/initdb") {
            return folder
        }
        throw missing("postgres \(postgresMajorMin) or newer", package: "postgresql-15")
    }

    private static func installedMajors() -> [Int] {
        do {
            let names = try FileManager.default.contentsOfDirectory(atPath: "/usr/lib/postgresql")
            return names.compactMap(Int.init).filter { $0 >= postgresMajorMin }.sorted(by: >)
        } catch {
            return []
        }
    }

    private static func missing(_ what: String, package: String) -> CLIError {
        CLIError(
            .missingProgram, "\(what) is not installed.",
            next: "apt-get install --no-install-recommends -y \(package)   (golden doctor lists all that is missing)"
        )
    }
}
