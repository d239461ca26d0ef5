internal import Bootstrap
internal import Foundation
import Testing

@Suite struct VersionTests {
    @Test func `the compiled version is the one in the file VERSION`() throws {
        let root = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
            .deletingLastPathComponent()
        let file = try String(contentsOf: root.appending(path: "VERSION"), encoding: .utf8)
        #expect(file == Version.current + "\n")
    }
}
