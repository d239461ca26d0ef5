import ReleaseGateCore
import Testing

@Suite struct `Versions` {
    @Test(arguments: ["1.2.3", "0.0.0", "1.2.0-rc.1", "1.0.0-alpha.beta-2"])
    func `are written as they were read`(text: String) {
        #expect(Version(text)?.description == text)
    }

    @Test(arguments: ["", "1", "1.2", "1.2.3.4", "01.2.3", "1.2.3-", "1.2.3-01", "1.2.3-a..b", "v1.2.3", "1.2.3+build"])
    func `are refused in any other form`(text: String) {
        #expect(Version(text) == nil)
    }

    @Test func `precede each other as Semantic Versioning says`() throws {
        let texts = [
            "1.0.0-alpha", "1.0.0-alpha.1", "1.0.0-alpha.beta", "1.0.0-beta", "1.0.0-beta.2", "1.0.0-beta.11",
            "1.0.0-rc.1", "1.0.0", "1.0.1", "1.1.0", "2.0.0",
        ]
        let versions = try texts.map { try #require(Version($0)) }
        for (left, right) in zip(versions, versions.dropFirst()) {
            #expect(left < right)
            #expect(!(right < left))
        }
    }
}
