internal import ArgumentParser
internal import Contracts
internal import FoundationEssentials

/// How commands find the API that need an admin's token.
struct AdminOptions: ParsableArguments {
    @OptionGroup var connection: EndpointOptions

    @Option(help: "Whose accounts, with the stack's own secret; a token of yours says its tenant itself.")
    var tenant: String?

    func validate() throws {
        if let tenant, TenantID(tenant) == nil {
            throw ValidationError("--tenant must be 1 to 63 of A-Z a-z 0-9 _ -.")
        }
    }

    func endpoint(_ environment: [String: String]) async throws -> Endpoint {
        let found = try connection.endpoint(role: "admin", environment)
        guard let tenant else { return found }
        guard case .secret(let secret, let role) = found.credential else {
            throw CLIError(
                .usage, "--tenant goes with the stack's own secret only: the token says whose accounts these are.",
                next: "Leave --tenant out, or use a token of that tenant."
            )
        }
        let token = try await TokenMint(secret: secret).token(
            subject: Endpoint.stackSubject, role: role, tenant: tenant, seconds: Endpoint.stackTokenSeconds
        )
        return Endpoint(url: found.url, credential: .token(token), stack: found.stack)
    }
}

/// A new password from a file, so that it stands in no command line and no history.
struct PasswordOptions: ParsableArguments {
    @Option(
        help: ArgumentHelp("A file with the password; without one it is generated and shown once.", valueName: "file"),
        completion: .file()
    )
    var passwordFile: String?

    func password() throws(CLIError) -> String? {
        guard let passwordFile else { return nil }
        guard let text = readSmallFile(passwordFile) else {
            throw CLIError(.fileUnreadable, "\(passwordFile) cannot be read.")
        }
        return String(text.prefix { !$0.isNewline })
    }
}

/// A day and a second of a time, or a dash.
func shortTime(_ date: Date?) -> String { date.map { String(Timestamp.text($0).prefix(19)) + "Z" } ?? "-" }

/// The same of a time as the API writes it.
func shortTime(_ text: String?) -> String { shortTime(text.flatMap(Timestamp.date)) }
