internal import FoundationEssentials

/// Finds installed programs and says which package brings a missing one.
enum Programs {
    /// Where Debian keeps servers; appended to PATH, because an ordinary account's PATH lacks /usr/sbin.
    static let systemFolders = ["/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin"]
    static let postgresMajorMin = 15
    /// Where Debian keeps postgres, by its major versions.
    static let postgresRoot = "/usr/lib/postgresql"

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
    ///
    /// - Parameters:
    ///   - data: of a cluster, which the version that made it alone can run.
    ///   - root: where Debian's lie.
    static func postgresFolder(
        environment: [String: String], data: String? = nil, root: String = postgresRoot
    ) throws(CLIError) -> String {
        let installed = installedMajors(root)
        let needed = data.flatMap(postgresMajor)
        var candidates = [environment["GOLDEN_POSTGRES_BIN"]].compactMap(\.self).map(Sibling.absolute)
        candidates += (needed.map { [$0] } ?? installed).map { "\(root)/\($0)/bin" }
        // Which version PATH's is, is not known; where it is the only one, it made the cluster.
        if needed == nil || installed.isEmpty, let found = find("initdb", environment: environment) {
            candidates.append(Sibling.parent(of: found))
        }
        for folder in candidates where FileManager.default.isExecutableFile(atPath: "\(folder)/initdb") {
            return folder
        }
        let what = needed.map { "postgres \($0), which made the database in \(data ?? "")," }
        throw missing(what ?? "postgres \(postgresMajorMin) or newer", package: postgresPackage(data: data))
    }

    static func postgresPackage(data: String?) -> String {
        "postgresql-\(data.flatMap(postgresMajor) ?? postgresMajorMin)"
    }

    /// The version that made a cluster; nil where there is none.
    private static func postgresMajor(_ data: String) -> Int? {
        readSmallFile("\(data)/PG_VERSION")?.split(whereSeparator: \.isNewline).first.flatMap { Int($0) }
    }

    private static func installedMajors(_ root: String) -> [Int] {
        do {
            let names = try FileManager.default.contentsOfDirectory(atPath: root)
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
