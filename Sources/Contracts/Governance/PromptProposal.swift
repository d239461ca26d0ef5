/// The body of `POST /governance/prompts`, checked.
package struct PromptProposal: Sendable, Equatable {
    package static let contentBytesMax = 262_144
    package static let reasonMax = 2000
    package static let baseRange: ClosedRange<Int> = 0...Int(Int32.max)

    package let role: AgentRole
    /// The whole prompt, handed to agents byte for byte.
    package let content: String
    /// The version it was made from; 0 when the role had none. Another one being active refuses the proposal.
    package let baseVersion: Int
    package let reason: String

    package init(role: AgentRole, content: String, baseVersion: Int, reason: String) {
        self.role = role
        self.content = content
        self.baseVersion = baseVersion
        self.reason = reason
    }

    package init(json: JSON) throws(JSONError) {
        var body = try JSONReader(json)
        role = try body.name("role")
        content = try body.string("content")
        guard content.utf8.count <= Self.contentBytesMax, content.contains(where: { !$0.isWhitespace }) else {
            throw body.error("content", "must be 1 to \(Self.contentBytesMax) bytes and not blank")
        }
        baseVersion = try body.int("base_version")
        guard Self.baseRange.contains(baseVersion) else {
            throw body.error("base_version", "must be the version it was made from, 0 for none")
        }
        guard let reason = try body.reason("reason") else { throw body.error("reason", "is required") }
        self.reason = reason
        try body.refuseUnknown()
    }

    package var json: JSON {
        JSONWriter.object {
            $0.field("role", role.text)
            $0.field("content", content)
            $0.field("base_version", baseVersion)
            $0.field("reason", reason)
        }
    }
}

/// The bodies of a human's decisions on prompts: `{"notes"}` of an approval or rejection, which may be absent, and
/// `{"reason"}` of a rollback, which may not.
package enum PromptDecision {
    package static func notes(json: JSON) throws(JSONError) -> String? {
        var body = try JSONReader(json)
        let notes = try body.reason("notes")
        try body.refuseUnknown()
        return notes
    }

    package static func reason(json: JSON) throws(JSONError) -> String {
        var body = try JSONReader(json)
        guard let reason = try body.reason("reason") else { throw body.error("reason", "is required") }
        try body.refuseUnknown()
        return reason
    }
}

extension JSONReader {
    /// A person's words; nil when absent.
    fileprivate mutating func reason(_ field: String) throws(JSONError) -> String? {
        guard let text = try optionalString(field) else { return nil }
        guard text.unicodeScalars.count <= PromptProposal.reasonMax, text.contains(where: { !$0.isWhitespace }) else {
            throw error(field, "must be 1 to \(PromptProposal.reasonMax) characters and not blank")
        }
        return text
    }
}
