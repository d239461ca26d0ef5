/// What an indicator counts: counters added to and subtracted from each other, such as all requests less those that
/// took at most a second.
package struct CounterExpression: Sendable, Hashable, CustomStringConvertible {
    package struct Term: Sendable, Hashable {
        package let isAdded: Bool
        package let selector: SeriesSelector
    }

    package private(set) var terms: [Term]

    /// `selector`, `selector - selector`, `selector + selector`, …
    ///
    /// - Throws: `invalid` for anything else.
    package init(parsing text: String) throws(GateError) {
        terms = []
        var isAdded = true
        for piece in Self.pieces(text) {
            if piece == "+" || piece == "-" {
                isAdded = piece == "+"
            } else {
                terms.append(Term(isAdded: isAdded, selector: try SeriesSelector(parsing: piece)))
            }
        }
        guard !terms.isEmpty else { throw GateError(.invalid, "An indicator counts nothing: \"\(text)\".") }
    }

    /// The same counters of one side of the release.
    package func restricted(to labels: [String: String]) -> CounterExpression {
        var restricted = self
        restricted.terms = terms.map { term in
            let selector = labels.sorted { $0.key < $1.key }.reduce(term.selector) {
                $0.adding(SeriesSelector.Matcher($1.key, .equal, $1.value))
            }
            return Term(isAdded: term.isAdded, selector: selector)
        }
        return restricted
    }

    package var selectors: [SeriesSelector] { terms.map(\.selector) }

    package var description: String {
        terms.enumerated().map { index, term in
            index == 0 ? term.selector.description : (term.isAdded ? " + " : " - ") + term.selector.description
        }.joined()
    }

    /// Cuts at the signs that stand outside of quotes and braces.
    private static func pieces(_ text: String) -> [String] {
        var pieces: [String] = []
        var piece = ""
        var isQuoted = false
        var isEscaped = false
        var depth = 0
        for character in text {
            let isSign = (character == "+" || character == "-") && !isQuoted && depth == 0
            if isSign {
                pieces += [piece, String(character)]
                piece = ""
                continue
            }
            switch character {
            case "\"" where !isEscaped: isQuoted.toggle()
            case "{" where !isQuoted: depth += 1
            case "}" where !isQuoted: depth -= 1
            default: break
            }
            isEscaped = character == "\\" && !isEscaped
            piece.append(character)
        }
        return (pieces + [piece]).filter { !$0.allSatisfy(\.isWhitespace) }
    }
}
