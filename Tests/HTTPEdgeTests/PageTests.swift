import Contracts
import Foundation
import Testing

@testable import HTTPEdge

@Suite(.timeLimit(.minutes(5))) struct `Pages of lists` {
    @Test(arguments: [(0, 0, false), (2, 2, false), (3, 2, true), (9, 2, true)])
    func `a page holds so many rows, and a cursor where there are more`(found: Int, shown: Int, goesOn: Bool) throws {
        let page = Page(list: "things", rows: 2, after: nil)
        #expect(page.limit == 3)
        let document = page.document(
            "rows", Array(0..<found), leading: [JSONWriter.string("first")], cursor: { Cursor(["\($0)"]) },
            view: { JSONWriter.string("\($0)") })
        var reader = try JSONReader(document)
        let rows = try reader.optionalArray("rows") ?? []
        #expect(rows.compactMap(\.string) == ["first"] + (0..<shown).map { "\($0)" })
        let next = try reader.optionalString("next_cursor")
        #expect(next.flatMap { Cursor(text: $0, list: "things") } == (goesOn ? Cursor(["1"]) : nil))
        try reader.refuseUnknown()
    }

    @Test func `a place in time comes back to the microsecond`() throws {
        let time = Date(timeIntervalSince1970: 1_790_000_000.123_456)
        let cursor = try #require(Cursor(text: Cursor(time, "a-1").text(list: "x"), list: "x"))
        let place = try #require(cursor.place { (time: $0, id: $1) })
        #expect(place.id == "a-1" && abs(place.time.timeIntervalSince(time)) < 0.000_000_5)
    }

    @Test(arguments: [["1"], ["x", "a"], ["-1", "a"], ["253402300800000000", "a"], ["1", "a", "b"]])
    func `what is no place is none`(keys: [String]) {
        #expect(Cursor(keys).place { _, id in id } == nil)
    }
}
