package import Contracts
package import FoundationEssentials
package import Hummingbird

/// Reads a request's query by name and type, and refuses what nobody asked for. Every error is a 400 that names the
/// parameter.
package struct QueryReader {
    package static let parametersMax = 32
    private static let timeBytesMax = 40

    private var values: [String: String] = [:]
    private var asked: Set<String> = []

    /// - Throws: when a parameter stands twice or is not percent-encoded UTF-8.
    package init(_ request: Request) throws(Problem) {
        let pairs = (request.uri.query ?? "").split(separator: "&")
        guard pairs.count <= Self.parametersMax else {
            throw Problem(.invalidQuery, "A query must not have more than \(Self.parametersMax) parameters.")
        }
        for pair in pairs {
            let halves = pair.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
            guard let name = PercentEncoding.decode(halves[0], plusIsSpace: true),
                let value = PercentEncoding.decode(halves.count > 1 ? halves[1] : "", plusIsSpace: true)
            else { throw Problem(.invalidQuery, "The query is not percent-encoded UTF-8.") }
            guard values.updateValue(value, forKey: name) == nil else { throw Self.error(name, "must stand once") }
        }
    }

    package mutating func string(_ name: String) -> String? {
        asked.insert(name)
        return values[name]
    }

    package mutating func int(_ name: String, in range: ClosedRange<Int>) throws(Problem) -> Int? {
        guard let text = string(name) else { return nil }
        guard let value = Int(text), range.contains(value) else {
            throw Self.error(name, "must be a number from \(range.lowerBound) to \(range.upperBound)")
        }
        return value
    }

    package mutating func name<Kind>(_ name: String) throws(Problem) -> Name<Kind>? {
        guard let text = string(name) else { return nil }
        guard let value = Name<Kind>(text) else {
            throw Self.error(name, "must be 1 to 63 of A-Z a-z 0-9 _ - and start with a letter or digit")
        }
        return value
    }

    package mutating func taskID(_ name: String) throws(Problem) -> TaskID? {
        guard let text = string(name) else { return nil }
        guard let id = TaskID(text) else { throw Self.error(name, "must be a task's id") }
        return id
    }

    /// One of an enum's raw values.
    package mutating func choice<Choice: RawRepresentable<String> & CaseIterable>(
        _ name: String, _ type: Choice.Type = Choice.self
    ) throws(Problem) -> Choice? {
        guard let text = string(name) else { return nil }
        guard let value = Choice(rawValue: text) else {
            throw Self.error(name, "must be one of \(type.allCases.map(\.rawValue).joined(separator: ", "))")
        }
        return value
    }

    package mutating func time(_ name: String) throws(Problem) -> Date? {
        guard let text = string(name) else { return nil }
        guard text.utf8.count <= Self.timeBytesMax, let time = Timestamp.date(text) else {
            throw Self.error(name, "must be a time such as 2026-01-31T12:00:00Z")
        }
        return time
    }

    /// The parameters `limit` and `cursor` of a list.
    /// - Parameter list: tells its cursors from those of other lists.
    package mutating func page(of list: String) throws(Problem) -> Page {
        let rows = try int("limit", in: 1...Page.rowsMax) ?? Page.rowsDefault
        return Page(list: list, rows: rows, after: try cursor(list: list))
    }

    /// - Throws: 400 `invalid_cursor` for a text that `Cursor` did not write for this `list`.
    package mutating func cursor(_ name: String = "cursor", list: String) throws(Problem) -> Cursor? {
        guard let text = string(name) else { return nil }
        guard let cursor = Cursor(text: text, list: list) else {
            throw Problem(
                .invalidCursor, "Send back a next_cursor of this list unchanged, or none to start again.",
                errors: [Problem.FieldError(field: name, message: "is not a cursor of this list")]
            )
        }
        return cursor
    }

    /// - Throws: when the query holds a parameter that no call above has asked for.
    package func refuseUnknown() throws(Problem) {
        if let stranger = values.keys.filter({ !asked.contains($0) }).min() {
            throw Self.error(stranger, "is not a parameter of this route")
        }
    }

    /// An error about one parameter.
    package static func error(_ name: String, _ message: String) -> Problem {
        let name = String(name.prefix(100))
        return Problem(
            .invalidQuery, "\(name) \(message).", errors: [Problem.FieldError(field: name, message: message)])
    }
}
