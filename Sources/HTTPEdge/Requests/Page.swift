package import Contracts

/// What a client asks of a list: how many rows, and from where on.
package struct Page: Sendable {
    /// The most rows on one page, and how many when nobody says.
    package static let rowsMax = 200
    package static let rowsDefault = 50

    /// Tells the cursors of this list from those of others.
    let list: String
    let rows: Int
    /// Names the last row of the page before; nil for the first page.
    package let after: Cursor?

    /// How many rows to look for: one more than are shown says that there is another page.
    package var limit: Int { rows + 1 }

    /// The page of those that were found, and the cursor that leads on, unless it is the last.
    /// - Parameters:
    ///   - name: the field that holds the rows.
    ///   - leading: what stands before them and does not count.
    ///   - cursor: names a row.
    package func document<Row>(
        _ name: String, _ found: [Row], leading: [JSON] = [], cursor: (Row) -> Cursor, view: (Row) -> JSON
    ) -> JSON {
        let shown = found.prefix(rows)
        return JSONWriter.object { writer in
            writer.field(
                name,
                array: { writer in
                    for element in leading { writer.element(element) }
                    for row in shown { writer.element(view(row)) }
                })
            guard found.count > rows, let last = shown.last else { return }
            writer.field("next_cursor", cursor(last).text(list: list))
        }
    }
}
