internal import Foundation

extension TestPostgres {
    /// Made once, since all migrations one after the other take far longer than a copy of what they have made.
    private static let migrated: Task<String, any Error> = Task {
        let server = try await shared()
        let name = try await server.freshDatabase()
        let folder = URL(filePath: #filePath).deletingLastPathComponent().appending(path: "../../migrations")
        let files = try FileManager.default.contentsOfDirectory(atPath: folder.path).filter { $0.hasSuffix(".sql") }
        for file in files.sorted() {
            let text = try String(contentsOf: folder.appending(path: file), encoding: .utf8)
            try await server.sql(text, database: name)
        }
        return name
    }

    /// Creates a database on the shared server on which psql has run all of the project's migrations, and answers its
    /// name.
    public static func migratedDatabase() async throws -> String {
        let name = try await migrated.value
        return try await shared().freshDatabase(template: name)
    }
}
