package import Bootstrap
internal import Contracts
internal import FoundationEssentials
internal import HTTPEdge
internal import Postgres
internal import Storage

/// Makes the first admin of an installation.
package struct AccountMaintenance: Sendable {
    static let adminName = "admin"

    private let database: MaintenanceDatabase

    package init(_ settings: ServiceConfiguration) throws {
        database = try MaintenanceDatabase(settings)
    }

    /// Adds `admin` to the tenant `default` when there is no user yet, and prints the generated password: this once, to
    /// whoever runs the command, and nowhere else. Repeated, it changes nothing.
    package func makeFirstAdmin(json: Bool) async throws {
        try await database.withPool { pool in
            let password = GeneratedPassword.make()
            let admin = User(
                tenant: AuthAPI.tenantDefault, name: Self.adminName, role: .admin,
                passwordHash: try await PasswordHasher(lanes: 1).hash(password, for: "installation").text,
                createdBy: "installation", createdAt: Date()
            )
            let entry = AuditEntry(
                chain: .tenant(admin.tenant), at: admin.createdAt, actor: "installation", actorRole: "admin",
                action: "makeFirstAdmin", resource: "users/\(admin.name)", outcome: .allowed
            )
            let isFirst = try await UserStore(pool: pool).addFirst(admin, audit: entry)
            Self.show(admin, password: isFirst ? password : nil, json: json)
        }
    }

    private static func show(_ admin: User, password: String?, json: Bool) {
        if json {
            print(
                JSONWriter.object { writer in
                    writer.field("created", password != nil)
                    guard let password else { return }
                    writer.field("user", admin.name)
                    writer.field("tenant", admin.tenant.text)
                    writer.field("password", password)
                }.text
            )
        } else if let password {
            print("The first admin is \(admin.name) (tenant \(admin.tenant)). The password is shown this once:")
            print("  \(password)")
        } else {
            print("There are users already; nothing was changed.")
        }
    }
}
