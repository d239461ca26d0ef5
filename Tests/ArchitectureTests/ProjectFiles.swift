import Foundation
import Testing

/// Files that stand for each other say the same.
@Suite struct `Project files` {
    @Test func `the manifest's commands are runnable`() throws {
        for path in ["scripts/run", "scripts/test", "scripts/bench", ".ci/run"] {
            let file = SourceFile.root.appending(path: path).path
            #expect(FileManager.default.isExecutableFile(atPath: file), "\(path) is not executable")
        }
    }

    @Test func `every migration has its way back`() throws {
        let folder = SourceFile.root.appending(path: "migrations")
        let names = try FileManager.default.contentsOfDirectory(atPath: folder.path).filter { $0.hasSuffix(".sql") }
        #expect(!names.isEmpty)
        for name in names {
            let down = folder.appending(path: "down/\(name)").path
            #expect(FileManager.default.fileExists(atPath: down), "migrations/down/\(name) is missing")
        }
    }

    @Test func `the README names the two commands`() throws {
        let readme = try String(contentsOf: SourceFile.root.appending(path: "README.md"), encoding: .utf8)
        #expect(readme.contains("scripts/run") && readme.contains("scripts/test"))
    }
}
