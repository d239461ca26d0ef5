/// A changelog as keepachangelog.com describes it, with two headings more: `Breaking` and `Migration`.
package struct Changelog: Sendable, Equatable {
    package enum Heading: String, Sendable, CaseIterable {
        case added = "Added"
        case changed = "Changed"
        case deprecated = "Deprecated"
        case removed = "Removed"
        case fixed = "Fixed"
        case security = "Security"
        case breaking = "Breaking"
        /// What users of a breaking version must do.
        case migration = "Migration"
    }

    package struct Entry: Sendable, Equatable {
        /// Nil for `[Unreleased]`.
        package let version: Version?
        /// `2026-11-28`; empty for `[Unreleased]`.
        package let date: String
        /// Headings without items, or with the item `None`, are left out.
        package var items: [Heading: [String]]
    }

    package struct ParseError: Error, Equatable, CustomStringConvertible {
        package let line: Int
        package let message: String

        package var description: String { "line \(line): \(message)" }
    }

    /// Newest first, as they stand.
    package let entries: [Entry]

    package init(parsing text: String) throws(ParseError) {
        var entries: [Entry] = []
        var heading: Heading?
        for (index, line) in text.split(separator: "\n", omittingEmptySubsequences: false).enumerated() {
            let line = line.last == "\r" ? line.dropLast() : line
            if line.hasPrefix("## ") {
                entries.append(try Self.entry(line.dropFirst(3), at: index + 1))
                heading = nil
            } else if line.hasPrefix("### "), !entries.isEmpty {
                let name = String(line.dropFirst(4).drop { $0 == " " })
                guard let known = Heading(rawValue: name) else {
                    throw ParseError(line: index + 1, message: "there is no heading \"\(name)\" in Keep a Changelog")
                }
                heading = known
            } else if line.hasPrefix("- ") || line.hasPrefix("* "), let heading, !entries.isEmpty {
                let item = String(line.dropFirst(2))
                if item != "None" { entries[entries.count - 1].items[heading, default: []].append(item) }
            }
        }
        self.entries = entries
    }

    /// The newest entry that has a version.
    package var top: Entry? { entries.first { $0.version != nil } }

    /// `[1.2.3] - 2026-11-28` or `[Unreleased]`.
    private static func entry(_ title: Substring, at line: Int) throws(ParseError) -> Entry {
        if title.lowercased().hasPrefix("[unreleased]") { return Entry(version: nil, date: "", items: [:]) }
        let parts = title.split(separator: " - ", maxSplits: 1)
        guard parts.count == 2, parts[0].first == "[", parts[0].last == "]",
            let version = Version(String(parts[0].dropFirst().dropLast()))
        else { throw ParseError(line: line, message: "an entry is titled [X.Y.Z] - YYYY-MM-DD") }
        let date = parts[1].prefix(10)
        guard Timestamp.isDate(date) else {
            throw ParseError(line: line, message: "\"\(date)\" is not a date such as 2026-11-28")
        }
        return Entry(version: version, date: String(date), items: [:])
    }
}
