/// A short name that is safe everywhere Golden puts it: a token of a NATS subject, a metric label, a URL segment.
///
/// Pattern `[A-Za-z0-9][A-Za-z0-9_-]{0,62}`: no dots, wildcards or spaces, so that a name can never widen a subject.
package struct Name<Kind>: Hashable, Sendable, Comparable, CustomStringConvertible {
    package let text: String

    /// Nil when `text` does not follow the pattern.
    package init?(_ text: some StringProtocol) {
        let bytes = text.utf8
        guard (1...63).contains(bytes.count), bytes.first.map(Self.isAlphanumeric) == true,
            bytes.allSatisfy({ Self.isAlphanumeric($0) || $0 == UInt8(ascii: "_") || $0 == UInt8(ascii: "-") })
        else { return nil }
        self.text = String(text)
    }

    /// For names written in the source, which are checked when the line runs.
    package init(literal: StaticString) {
        guard let name = Self("\(literal)") else { preconditionFailure("\(literal) is not a valid name") }
        self = name
    }

    package var description: String { text }

    package static func < (left: Self, right: Self) -> Bool { left.text < right.text }

    private static func isAlphanumeric(_ byte: UInt8) -> Bool {
        switch byte {
        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
            UInt8(ascii: "0")...UInt8(ascii: "9"):
            true
        default: false
        }
    }
}

package enum TenantKind {}
package enum ProjectKind {}
package enum AgentRoleKind {}
package enum AgentKind {}
package enum WorkflowKind {}

/// Who pays and who may see: every row, key and subject of a tenant carries it.
package typealias TenantID = Name<TenantKind>
/// A tenant's budget account.
package typealias ProjectID = Name<ProjectKind>
/// What an agent can do (`developer`, `tester`, …); the last token of `work.<role>`.
package typealias AgentRole = Name<AgentRoleKind>
/// One running agent.
package typealias AgentID = Name<AgentKind>
package typealias WorkflowName = Name<WorkflowKind>

extension JSONReader {
    /// Reads a name, with the pattern in the error message.
    package mutating func name<Kind>(_ field: String) throws(JSONError) -> Name<Kind> {
        guard let name = Name<Kind>(try string(field)) else { throw patternError(field) }
        return name
    }

    /// Reads a name that may be absent.
    package mutating func optionalName<Kind>(_ field: String) throws(JSONError) -> Name<Kind>? {
        guard let text = try optionalString(field) else { return nil }
        guard let name = Name<Kind>(text) else { throw patternError(field) }
        return name
    }

    private func patternError(_ field: String) -> JSONError {
        error(field, "must be 1 to 63 of A-Z a-z 0-9 _ - and start with a letter or digit")
    }
}
