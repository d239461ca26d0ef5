import Foundation
import Testing

/// The project's own files, as the architecture tests read them.
struct SourceFile: Sendable, CustomTestStringConvertible {
    /// Relative to the project's root: `Sources/Contracts/Name.swift`.
    let path: String
    let text: String

    var lines: [Substring] { text.split(separator: "\n", omittingEmptySubsequences: false) }
    var testDescription: String { path }

    static let root = URL(filePath: #filePath).deletingLastPathComponent().appending(path: "../..").standardizedFileURL

    /// Every Swift file below these folders, `Sources` and `Tests` by default.
    static func swift(below folders: String...) throws -> [SourceFile] {
        try folders.flatMap { folder -> [SourceFile] in
            let start = root.appending(path: folder)
            guard let files = FileManager.default.enumerator(at: start, includingPropertiesForKeys: nil) else {
                return []
            }
            return try files.compactMap { $0 as? URL }.filter { $0.pathExtension == "swift" }.map { file in
                let path = String(file.standardizedFileURL.path.dropFirst(root.path.count + 1))
                return SourceFile(path: path, text: try String(contentsOf: file, encoding: .utf8))
            }
        }
    }
}
