import Foundation
import Testing

/// docs/checklist.md says of each of the customer's requirements where it is fulfilled. It must not promise what is not
/// there.
@Suite struct `The checklist` {
    struct Row {
        let id: String
        let place: String
        let command: String

        var isOpen: Bool { place.hasPrefix("open") }

        /// What stands between backticks and is a path: it has a slash or a dot, and no space.
        var paths: [String] { quoted(in: place).filter { $0.contains { "/.".contains($0) } && !$0.contains(" ") } }

        /// The other single words between backticks: rules, tests and objectives in the files named beside them.
        var names: [String] { quoted(in: place).filter { !$0.contains { "/. ".contains($0) } } }

        private func quoted(in text: String) -> [String] { text.matches(of: /`([^`]+)`/).map { String($0.1) } }
    }

    /// How many requirements each of the customer's documents has.
    static let counts = [("A", 36), ("B", 20), ("C", 26), ("D", 17), ("E", 37)]

    static func rows() throws -> [Row] {
        let text = try String(contentsOf: SourceFile.root.appending(path: "docs/checklist.md"), encoding: .utf8)
        return text.split(separator: "\n").compactMap { line in
            let cells = line.split(separator: "|", omittingEmptySubsequences: false)
                .map { $0.trimmingCharacters(in: .whitespaces) }
            guard cells.count == 6, cells[1].wholeMatch(of: /[A-E]\d+/) != nil else { return nil }
            return Row(
                id: cells[1], place: cells[3], command: cells[4].trimmingCharacters(in: CharacterSet(charactersIn: "`"))
            )
        }
    }

    @Test func `every requirement is there once, in its place`() throws {
        let expected = Self.counts.flatMap { group, count in (1...count).map { "\(group)\($0)" } }
        #expect(expected.count == 136)
        #expect(try Self.rows().map(\.id) == expected)
    }

    @Test func `what is not open has a place and a command that are there`() throws {
        for row in try Self.rows() {
            if row.isOpen {
                #expect(row.place.count > "open: ".count, "\(row.id) does not say what is missing")
                continue
            }
            #expect(!row.paths.isEmpty, "\(row.id) names no place")
            #expect(Self.canRun(row.command), "\(row.id): \(row.command)")
        }
    }

    @Test func `every path exists, and holds what is named beside it`() throws {
        for row in try Self.rows() {
            var text = ""
            for path in row.paths {
                let url = SourceFile.root.appending(path: path)
                #expect(FileManager.default.fileExists(atPath: url.path), "\(row.id): \(path) is not there")
                guard FileManager.default.fileExists(atPath: url.path) else { continue }
                text += try String(contentsOf: url, encoding: .utf8)
            }
            for name in row.names { #expect(text.contains(name), "\(row.id): \(name) is in none of \(row.paths)") }
        }
    }

    /// A program of ours by its path, or Swift's tests by a suite that there is.
    static func canRun(_ command: String) -> Bool {
        let words = command.split(separator: " ").map(String.init)
        guard let program = words.first else { return false }
        if words.prefix(3) == ["swift", "test", "--filter"], words.count == 4 {
            let folder = SourceFile.root.appending(path: "Tests/\(words[3])").path
            return FileManager.default.fileExists(atPath: folder)
        }
        return FileManager.default.isExecutableFile(atPath: SourceFile.root.appending(path: program).path)
            && program.hasPrefix("scripts/")
    }
}
