internal import Foundation
import Testing

@testable internal import Bootstrap

@Suite struct VersionTests {
    @Test func `the compiled version is the one in the file VERSION`() throws {
        let root = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
            .deletingLastPathComponent()
        let file = try String(contentsOf: root.appending(path: "VERSION"), encoding: .utf8)
        #expect(file == Version.release + "\n")
    }

    @Test func `a build's name follows the release as semver's build metadata`() {
        #expect(Version.named(by: "sha-0a1b\n") == Version.release + "+sha-0a1b")
        #expect(Version.named(by: "next_build of 7.3") == Version.release + "+next-build-of-7.3")
        #expect(Version.named(by: " \n") == Version.release)
        #expect(Version.named(by: String(repeating: "x", count: 100)).utf8.count == Version.release.utf8.count + 65)
    }
}
