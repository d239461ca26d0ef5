import Contracts
import Foundation
import Testing

/// The page about reviews shows messages as they are.
@Suite struct `Review page` {
    private static func example(_ kind: String) throws -> JSON {
        let folder = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
            .deletingLastPathComponent()
        let page = try String(contentsOf: folder.appending(path: "docs/reviews.md"), encoding: .utf8)
        let block = try #require(page.components(separatedBy: "```json \(kind)\n").dropFirst().first, "\(kind)")
        return try JSON(parsing: #require(block.components(separatedBy: "\n```").first).utf8)
    }

    @Test func `an example reads as its message and writes the same again`() throws {
        let request = try Self.example("review-request")
        #expect(try ReviewRequest(json: request).json.canonical == request.canonical)
        let closing = try Self.example("review-cancellation")
        #expect(try ReviewCancellation(json: closing).json.canonical == closing.canonical)
    }
}
