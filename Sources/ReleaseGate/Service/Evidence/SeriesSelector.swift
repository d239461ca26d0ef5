/// Which time series an SLI counts: a metric's name and what its labels must be, as PromQL writes it:
/// `http_requests_total{job="orchestrator",status=~"5.."}`.
///
/// Only plain selectors: what is counted is counted here, from raw samples, the same way from every source. PromQL's
/// `increase()` extrapolates (36.4 for 36).
package struct SeriesSelector: Sendable, Hashable, CustomStringConvertible {
    package struct Matcher: Sendable, Hashable {
        package enum Comparison: String, Sendable, CaseIterable {
            case equal = "="
            case notEqual = "!="
            case matches = "=~"
            case matchesNot = "!~"
        }

        package let label: String
        package let comparison: Comparison
        package let value: String

        package init(_ label: String, _ comparison: Comparison, _ value: String) {
            self.label = label
            self.comparison = comparison
            self.value = value
        }
    }

    package let metric: String
    package private(set) var matchers: [Matcher]

    package init(metric: String, matchers: [Matcher] = []) {
        self.metric = metric
        self.matchers = matchers
    }

    /// The same with one more condition.
    package func adding(_ matcher: Matcher) -> SeriesSelector {
        SeriesSelector(metric: metric, matchers: matchers + [matcher])
    }

    package var description: String {
        if matchers.isEmpty { return metric }
        let inside = matchers.map { "\($0.label)\($0.comparison.rawValue)\"\(Self.escape($0.value))\"" }
        return "\(metric){\(inside.joined(separator: ","))}"
    }

    /// Whether a series of the metric with these labels is meant. A label that is absent is empty.
    package func matches(_ labels: [String: String]) -> Bool {
        matchers.allSatisfy { matcher in
            let value = labels[matcher.label] ?? ""
            return switch matcher.comparison {
            case .equal: value == matcher.value
            case .notEqual: value != matcher.value
            case .matches: Self.matches(value, matcher.value)
            case .matchesNot: !Self.matches(value, matcher.value)
            }
        }
    }

    /// Patterns are anchored at both ends, and have been compiled once when the selector was read.
    private static func matches(_ value: String, _ pattern: String) -> Bool {
        do { return try Regex(pattern).wholeMatch(in: value) != nil } catch { return false }
    }

    private static func escape(_ text: String) -> String {
        text.replacing("\\", with: "\\\\").replacing("\"", with: "\\\"").replacing("\n", with: "\\n")
    }
}

extension SeriesSelector {
    /// - Throws: `invalid` for anything but a plain selector.
    package init(parsing text: String) throws(GateError) {
        var scanner = LabelScanner(text)
        scanner.skipSpace()
        guard let metric = scanner.name(allowsColon: true) else {
            throw GateError(.invalid, "\(text) does not begin with a metric's name.")
        }
        self.metric = metric
        matchers = []
        scanner.skipSpace()
        if scanner.take("{") {
            scanner.skipSpace()
            while !scanner.take("}") {
                matchers.append(try Self.matcher(&scanner, text))
                scanner.skipSpace()
                _ = scanner.take(",")
                scanner.skipSpace()
            }
            scanner.skipSpace()
        }
        guard scanner.isAtEnd else {
            throw GateError(
                .invalid, "\(text) is no plain selector.",
                next: "Write metric{label=\"value\",…}: the gate counts the samples itself.")
        }
    }

    private static func matcher(_ scanner: inout LabelScanner, _ text: String) throws(GateError) -> Matcher {
        guard let label = scanner.name(allowsColon: false) else {
            throw GateError(.invalid, "\(text): a label's name is missing.")
        }
        scanner.skipSpace()
        // The longer signs first: "=" begins "=~".
        let signs: [Matcher.Comparison] = [.matches, .matchesNot, .notEqual, .equal]
        guard let comparison = signs.first(where: { scanner.take($0.rawValue) }) else {
            throw GateError(.invalid, "\(text): after \(label) comes =, !=, =~ or !~.")
        }
        scanner.skipSpace()
        guard let value = scanner.quoted() else {
            throw GateError(.invalid, "\(text): the value of \(label) must stand in double quotes.")
        }
        switch comparison {
        case .matches, .matchesNot:
            do { _ = try Regex(value) } catch {
                throw GateError(.invalid, "\(text): \(value) is no regular expression.")
            }
        case .equal, .notEqual: break
        }
        return Matcher(label, comparison, value)
    }
}

/// Reads names and quoted values of the exposition format and of selectors, which write them alike.
struct LabelScanner {
    private var rest: Substring

    init(_ text: some StringProtocol) { rest = Substring(text) }

    var isAtEnd: Bool { rest.isEmpty }
    var remainder: Substring { rest }

    mutating func skipSpace() { rest = rest.drop { $0 == " " || $0 == "\t" } }

    mutating func take(_ text: String) -> Bool {
        guard rest.hasPrefix(text) else { return false }
        rest = rest.dropFirst(text.count)
        return true
    }

    mutating func name(allowsColon: Bool) -> String? {
        let name = rest.prefix {
            $0.isASCII && ($0.isLetter || $0.isNumber || $0 == "_" || (allowsColon && $0 == ":"))
        }
        guard let first = name.first, !first.isNumber else { return nil }
        rest = rest.dropFirst(name.count)
        return String(name)
    }

    /// A value in double quotes with the escapes \\, \" and \n.
    mutating func quoted() -> String? {
        guard take("\"") else { return nil }
        var value = ""
        while let character = rest.popFirst() {
            switch character {
            case "\"": return value
            case "\\":
                guard let escaped = rest.popFirst() else { return nil }
                value.append(escaped == "n" ? "\n" : escaped)
            default: value.append(character)
            }
        }
        return nil
    }
}
