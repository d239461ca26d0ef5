/// Who makes a request: what a verified token says, and nothing the request's body could change.
package struct Principal: Sendable, Hashable {
    /// The longest `sub` accepted.
    package static let subjectBytesMax = 200

    /// The token's `sub`.
    package let subject: String
    package let role: Role
    package let tenant: TenantID

    package init(subject: String, role: Role, tenant: TenantID) {
        self.subject = subject
        self.role = role
        self.tenant = tenant
    }

    package func may(_ permission: Permission) -> Bool { role.may(permission) }
}
