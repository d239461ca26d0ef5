/// The tokens that a session's reviewers say they have used: by seat and attempt, so that what is reported twice counts
/// once.
package struct ReviewUsage: Sendable, Equatable {
    private var tokens: [String: Int] = [:]

    package init() {}

    /// Of all seats and attempts together.
    package var total: Int { tokens.values.reduce(0, +) }

    /// Takes what an attempt has used since its beginning; false when that was known.
    package mutating func note(_ used: Int, of role: AgentRole, attempt: Int) -> Bool {
        let key = "\(role.text).\(attempt)"
        guard used > tokens[key, default: 0] else { return false }
        tokens[key] = used
        return true
    }
}

/// `{"security.1": 1200}`, as it is kept.
extension ReviewUsage {
    /// Throws when it is anything else.
    package init(json: JSON) throws(JSONError) {
        guard let fields = json.fields else { throw JSONError(.wrongShape, "is no object") }
        for (name, value) in fields {
            guard let used = value.int else { throw JSONError(.wrongShape, path: name, "is no number of tokens") }
            tokens[name] = used
        }
    }

    package var json: JSON {
        JSONWriter.object { writer in
            for (name, used) in tokens.sorted(by: { $0.key < $1.key }) { writer.field(name, used) }
        }
    }
}
