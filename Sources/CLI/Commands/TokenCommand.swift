internal import ArgumentParser
internal import Contracts

/// `golden token`
struct TokenCommand: AsyncParsableCommand {
    static let roles = ["admin", "operator", "developer", "observer", "agent"]
    static let secretBytesMin = 32

    static let configuration = CommandConfiguration(
        commandName: "token",
        abstract: "Sign a token for the API.",
        discussion: """
            The secret is the stack's own, or the one in GOLDEN_JWT_SECRET, GOLDEN_JWT_SECRET_FILE or --secret-file.

            EXAMPLES:
              golden token --role developer --tenant acme --ttl 8h
              curl -H "Authorization: Bearer $(golden token --role observer --tenant acme)" http://127.0.0.1:8080/tasks
            """
    )

    @OptionGroup var data: FolderOptions
    @OptionGroup var output: OutputOptions

    @Option(help: "admin, operator, developer, observer or agent.", completion: .list(TokenCommand.roles))
    var role: String

    @Option(help: "Whose tasks the token may see and submit.")
    var tenant: String

    @Option(help: "How long it is valid: 90s, 15m, 8h, 7d.")
    var ttl = "1h"

    @Option(help: "Who it stands for; shown as the task's principal.")
    var subject = "golden-cli"

    @Option(help: ArgumentHelp("A file with the signing secret.", valueName: "file"), completion: .file())
    var secretFile: String?

    func validate() throws {
        guard Self.roles.contains(role) else {
            throw ValidationError("--role must be one of \(Self.roles.joined(separator: ", ")).")
        }
        guard TenantID(tenant) != nil else { throw ValidationError("--tenant must be 1 to 63 of A-Z a-z 0-9 _ -.") }
        guard Spans.seconds(ttl) != nil else {
            throw ValidationError("--ttl must be such as 90s, 15m, 8h or 7d, and at most ten years.")
        }
        guard (1...255).contains(subject.utf8.count) else { throw ValidationError("--subject must be 1 to 255 bytes.") }
    }

    func run() async throws {
        let environment = Caller.environment
        let seconds = Spans.seconds(ttl) ?? 3600
        let secret = try secret(environment)
        guard secret.utf8.count >= Self.secretBytesMin else {
            throw CLIError(
                .noSecret, "The signing secret is shorter than \(Self.secretBytesMin) bytes; the API refuses it.")
        }
        let issuer = environment["GOLDEN_JWT_ISSUER"] ?? TokenMint.issuer
        let audience = environment["GOLDEN_JWT_AUDIENCE"] ?? TokenMint.audience
        let token = try await TokenMint(secret: secret, issuer: issuer, audience: audience).token(
            subject: subject, role: role, tenant: tenant, seconds: seconds
        )
        let console = Console(environment: environment)
        guard output.isJSON else { return console.print(token) }
        let answer = JSONWriter.object { writer in
            writer.field("token", token)
            writer.field("role", role)
            writer.field("tenant", tenant)
            writer.field("subject", subject)
            writer.field("expires_in", seconds)
        }
        console.print(answer.text)
    }

    private func secret(_ environment: [String: String]) throws(CLIError) -> String {
        if let file = secretFile ?? environment["GOLDEN_JWT_SECRET_FILE"] {
            guard let text = readSmallFile(file) else {
                throw CLIError(.fileUnreadable, "\(file) cannot be read.")
            }
            return String(text.trimmingSuffix { $0.isNewline })
        }
        if let secret = environment["GOLDEN_JWT_SECRET"] { return secret }
        let folder = data.folder(environment)
        guard let secrets = try StackSecrets.load(from: folder) else {
            throw CLIError(
                .noSecret, "There is no signing secret: \(folder.path) holds no stack.",
                next: "golden up --detach\(folder.option), or set GOLDEN_JWT_SECRET_FILE."
            )
        }
        return secrets.jwt
    }
}

extension String {
    fileprivate func trimmingSuffix(_ drop: (Character) -> Bool) -> Substring {
        var rest = self[...]
        while let last = rest.last, drop(last) { rest.removeLast() }
        return rest
    }
}
