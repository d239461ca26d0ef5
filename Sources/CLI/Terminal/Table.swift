/// Rows for people: columns as wide as their widest cell, two spaces between, nothing after the last.
struct Table {
    struct Cell: ExpressibleByStringLiteral {
        let text: String
        let style: Console.Style?

        init(_ text: String, _ style: Console.Style? = nil) {
            self.text = Table.printable(text)
            self.style = style
        }

        init(stringLiteral value: String) { self.init(value) }
    }

    let headings: [String]
    private(set) var rows: [[Cell]] = []

    init(_ headings: String...) {
        self.headings = headings
    }

    mutating func add(_ cells: Cell...) { add(row: cells) }

    mutating func add(row cells: [Cell]) {
        precondition(cells.count == headings.count, "A row has a cell for every heading.")
        rows.append(cells)
    }

    func lines(_ style: (String, Console.Style) -> String) -> [String] {
        let all = [headings.map { Cell($0, .dim) }] + rows
        let widths = headings.indices.map { column in all.map { $0[column].text.count }.max() ?? 0 }
        return all.map { row in
            let cells = row.indices.map { column in
                let cell = row[column]
                let isLast = column == row.count - 1
                let padding = isLast ? "" : String(repeating: " ", count: widths[column] - cell.text.count)
                return (cell.style.map { style(cell.text, $0) } ?? cell.text) + padding
            }
            return cells.joined(separator: "  ")
        }
    }

    /// What others wrote may hold anything: control characters could move the cursor or forge lines.
    static func printable(_ text: String) -> String {
        String(String.UnicodeScalarView(text.unicodeScalars.map { isControl($0) ? "\u{FFFD}" : $0 }))
    }

    /// The same for text of several lines, each shown as one.
    static func printableLines(_ text: String) -> [String] {
        text.split(omittingEmptySubsequences: false) { $0 == "\n" || $0 == "\r\n" }.map { printable(String($0)) }
    }

    private static func isControl(_ scalar: Unicode.Scalar) -> Bool {
        switch scalar.properties.generalCategory {
        case .control, .format, .lineSeparator, .paragraphSeparator: true
        default: false
        }
    }
}

extension Console {
    func print(_ table: Table) {
        for line in table.lines({ styled($0, $1) }) { print(line) }
    }
}
