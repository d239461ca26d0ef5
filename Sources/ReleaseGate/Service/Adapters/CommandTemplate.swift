/// A command that carries out what the gate decided: a program and its arguments, with places for what they are about.
///
/// No shell reads it: each word becomes exactly one argument, whatever a version or a reason holds.
package struct CommandTemplate: Sendable, Equatable {
    package let words: [String]

    /// - Throws: `invalid` for an empty command or a place that nothing fills.
    package init(_ words: [String]) throws(GateError) {
        guard let program = words.first, !program.isEmpty else { throw GateError(.invalid, "A command is empty.") }
        for word in words {
            for place in Self.places(in: word) where !Place.allCases.map(\.rawValue).contains(place) {
                let known = Place.allCases.map { "{\($0.rawValue)}" }.joined(separator: ", ")
                throw GateError(.invalid, "{\(place)} in \"\(word)\" is no place.", next: "There are \(known).")
            }
        }
        self.words = words
    }

    package enum Place: String, Sendable, CaseIterable {
        case service, version, previousVersion, environment, namespace, release, chart, revision, previousRevision
        case weight, reason, action
        /// What the service is called in the cluster: `object` of its Deployment, `rollout` where it has a Rollout.
        case object, rollout
        /// `sha256:…` of the service's image.
        case digest
        /// Which of a Rollout's revisions `previousVersion` is: `RolloutWayBack` asks for it.
        case toRevision
        /// Of a pull request; `body` is a file.
        case branch, title, body, draft
    }

    /// Whether it is run for each service of the train, or once.
    package var isPerService: Bool { [Place.service, .object, .rollout].contains { names($0) } }

    /// Whether it is about a place.
    package func names(_ place: Place) -> Bool { words.contains { $0.contains("{\(place.rawValue)}") } }

    /// - Throws: `invalid` when a place has no value.
    package func filled(_ values: [Place: String]) throws(GateError) -> [String] {
        var filled: [String] = []
        for word in words {
            var text = ""
            var rest = word[...]
            while let open = rest.firstIndex(of: "{"), let close = rest[open...].firstIndex(of: "}") {
                text += rest[..<open]
                let name = String(rest[rest.index(after: open)..<close])
                guard let place = Place(rawValue: name), let value = values[place] else {
                    throw GateError(
                        .invalid, "Nothing is known for {\(name)} in the command \(words[0]).",
                        next: "release.yaml says what a release is: see docs/releasing.md for its field.")
                }
                text += value
                rest = rest[rest.index(after: close)...]
            }
            filled.append(text + rest)
        }
        return filled
    }

    private static func places(in word: String) -> [String] {
        word.split(separator: "{", omittingEmptySubsequences: false).dropFirst().compactMap { part in
            part.firstIndex(of: "}").map { String(part[..<$0]) }
        }
    }

    /// As a person would type it.
    package static func shown(_ words: [String]) -> String {
        words.map { word in
            let isPlain =
                !word.isEmpty
                && word.allSatisfy { $0.isASCII && ($0.isLetter || $0.isNumber || "-_./:=@,+%".contains($0)) }
            return isPlain ? word : "'" + word.replacing("'", with: "'\\''") + "'"
        }.joined(separator: " ")
    }
}
