/// A release's tag in Git: annotated, and at the commit that is released.
package enum TagRules {
    /// What Git says of a tag.
    package enum Facts: Sendable, Equatable {
        case missing
        /// A name for a commit and nothing more: nobody signed for it, and it says not when.
        case lightweight(commit: String)
        case annotated(commit: String)
    }

    package struct Ruling: Sendable, Equatable {
        package let refusals: [Refusal]
        /// What was found in order; nil when nothing was.
        package let line: String?
    }

    /// - Parameter commit: of the release, as the file that describes it says; nil when it says none.
    package static func judge(_ facts: Facts, version: Version, commit: String?) -> Ruling {
        let name = "v\(version)"
        switch facts {
        case .missing: return refused("there is no tag \(name)")
        case .lightweight: return refused("\(name) is not annotated: git tag -a \(name)")
        case .annotated(let tagged):
            guard let commit else { return refused("release.yaml names no commit that \(name) could point at") }
            guard tagged == commit else { return refused("\(name) points at \(tagged), released is \(commit)") }
            return Ruling(refusals: [], line: "tag: \(name) is annotated, at \(commit)")
        }
    }

    private static func refused(_ why: String) -> Ruling { Ruling(refusals: [Refusal(.tag, why)], line: nil) }
}
