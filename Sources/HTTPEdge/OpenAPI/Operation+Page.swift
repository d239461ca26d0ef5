internal import HTTPTypes

/// What the API document says about lists.
extension Parameter {
    /// What `QueryReader.page(of:)` reads.
    package static let page = [
        Parameter(
            .query, "limit", .integer(1...Page.rowsMax), "Entries on one page, \(Page.rowsDefault) when absent."),
        Parameter(.query, "cursor", .text(max: Cursor.bytesMax), "A next_cursor of this list."),
    ]
}

extension Answer {
    /// What `Page.document` makes, its rows of a named schema.
    package static func page(_ name: String, of schema: String) -> Answer {
        Answer(.ok, "One page.", .json(.object([.required(name, .array(of: .named(schema))), nextCursor])))
    }

    package static let nextCursor = Schema.Field.optional("next_cursor", .text(), "Absent on the last page.")
}
