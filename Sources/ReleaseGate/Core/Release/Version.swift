/// A version by Semantic Versioning 2.0.0. Build metadata has no place in a release's name here.
package struct Version: Sendable, Hashable, Comparable, Codable, CustomStringConvertible {
    package enum Identifier: Sendable, Hashable {
        case number(Int)
        case word(String)
    }

    package let major: Int
    package let minor: Int
    package let patch: Int
    /// Empty for a release proper: `1.2.0-rc.1` has `rc` and `1`.
    package let prerelease: [Identifier]

    private init(major: Int, minor: Int, patch: Int, prerelease: [Identifier]) {
        self.major = major
        self.minor = minor
        self.patch = patch
        self.prerelease = prerelease
    }

    /// Nil unless `text` is `X.Y.Z` or `X.Y.Z-pre.release`, numbers without leading zeros and of at most nine digits.
    package init?(_ text: String) {
        let halves = text.split(separator: "-", maxSplits: 1, omittingEmptySubsequences: false)
        let core = halves[0].split(separator: ".", omittingEmptySubsequences: false).map(Self.number)
        guard core.count == 3, let major = core[0], let minor = core[1], let patch = core[2] else { return nil }
        var identifiers: [Identifier] = []
        if halves.count == 2 {
            for part in halves[1].split(separator: ".", omittingEmptySubsequences: false) {
                guard let identifier = Self.identifier(part) else { return nil }
                identifiers.append(identifier)
            }
        }
        self.init(major: major, minor: minor, patch: patch, prerelease: identifiers)
    }

    package var isPrerelease: Bool { !prerelease.isEmpty }

    /// The release that a pre-release is on the way to; itself for a release.
    package var release: Version { Version(major: major, minor: minor, patch: patch, prerelease: []) }

    package var nextPatch: Version { Version(major: major, minor: minor, patch: patch + 1, prerelease: []) }
    package var nextMinor: Version { Version(major: major, minor: minor + 1, patch: 0, prerelease: []) }
    package var nextMajor: Version { Version(major: major + 1, minor: 0, patch: 0, prerelease: []) }

    package var description: String {
        let core = "\(major).\(minor).\(patch)"
        guard isPrerelease else { return core }
        let parts = prerelease.map { part in
            switch part {
            case .number(let number): String(number)
            case .word(let word): word
            }
        }
        return core + "-" + parts.joined(separator: ".")
    }

    package static func < (left: Self, right: Self) -> Bool {
        let (mine, other) = ((left.major, left.minor, left.patch), (right.major, right.minor, right.patch))
        if mine != other { return mine < other }
        if left.isPrerelease != right.isPrerelease { return left.isPrerelease }
        return left.prerelease.lexicographicallyPrecedes(right.prerelease, by: precedes)
    }

    package init(from decoder: any Decoder) throws {
        let container = try decoder.singleValueContainer()
        guard let version = Self(try container.decode(String.self)) else {
            throw DecodingError.dataCorruptedError(in: container, debugDescription: "not a semantic version")
        }
        self = version
    }

    package func encode(to encoder: any Encoder) throws {
        var container = encoder.singleValueContainer()
        try container.encode(description)
    }

    private static func number(_ text: Substring) -> Int? {
        guard (1...9).contains(text.utf8.count), text.utf8.allSatisfy({ (48...57).contains($0) }),
            text.utf8.count == 1 || text.utf8.first != 48
        else { return nil }
        return Int(text)
    }

    private static func identifier(_ text: Substring) -> Identifier? {
        if let number = number(text) { return .number(number) }
        let isWord = text.utf8.allSatisfy { byte in
            (48...57).contains(byte) || (65...90).contains(byte) || (97...122).contains(byte) || byte == 45
        }
        guard !text.isEmpty, isWord, !text.utf8.allSatisfy({ (48...57).contains($0) }) else { return nil }
        return .word(String(text))
    }

    /// Numbers before words, numbers by value, words by their bytes.
    private static func precedes(_ left: Identifier, _ right: Identifier) -> Bool {
        switch (left, right) {
        case (.number(let left), .number(let right)): left < right
        case (.number, .word): true
        case (.word, .number): false
        case (.word(let left), .word(let right)): left.utf8.lexicographicallyPrecedes(right.utf8)
        }
    }
}
