/// The version of a role's prompt that an attempt works by.
package struct RolePrompt: Sendable, Equatable {
    /// Counts the role's versions from 1.
    package let version: Int
    package let content: String

    package init(version: Int, content: String) {
        self.version = version
        self.content = content
    }
}
