internal import Contracts
internal import FoundationEssentials

/// The generated passwords of one stack, kept in `secrets.json` (0600) and nowhere else.
struct StackSecrets: Sendable, Equatable {
    let postgres: String
    let postgresAdmin: String
    let nats: String
    let redis: String
    /// Signs the API's tokens (HS256).
    let jwt: String

    /// 32 random bytes each, in hexadecimal: safe in URLs, configuration files and SQL without quoting.
    static func generate() -> StackSecrets {
        StackSecrets(postgres: random(), postgresAdmin: random(), nats: random(), redis: random(), jwt: random())
    }

    static func random() -> String {
        var generator = SystemRandomNumberGenerator()
        return (0..<32).map { _ in
            let byte = UInt8.random(in: .min ... .max, using: &generator)
            return (byte < 16 ? "0" : "") + String(byte, radix: 16)
        }.joined()
    }

    /// The stack's secrets; nil when it has none yet.
    static func load(from folder: StackFolder) throws(CLIError) -> StackSecrets? {
        guard FileManager.default.fileExists(atPath: folder.secrets) else { return nil }
        guard let text = readSmallFile(folder.secrets) else {
            throw CLIError(
                .fileUnreadable, "\(folder.secrets) cannot be read.",
                next: "Run golden as the account that started the stack."
            )
        }
        do {
            var reader = try JSONReader(try JSON(parsing: text.utf8))
            return StackSecrets(
                postgres: try reader.string("postgres"), postgresAdmin: try reader.string("postgres_admin"),
                nats: try reader.string("nats"), redis: try reader.string("redis"), jwt: try reader.string("jwt")
            )
        } catch {
            throw CLIError(
                .fileUnreadable, "\(folder.secrets) is damaged.",
                next: "Start anew: golden down --delete (the stack's data goes with it).", underlying: error
            )
        }
    }

    /// The stack's secrets.
    /// - Throws: when it has none.
    static func require(in folder: StackFolder) throws(CLIError) -> StackSecrets {
        if let secrets = try load(from: folder) { return secrets }
        throw CLIError(
            .noSecret, "The stack in \(folder.path) has no secrets file.", next: "golden up --detach\(folder.option)")
    }

    func save(to folder: StackFolder) throws(CLIError) {
        let json = JSONWriter.object { writer in
            writer.field("postgres", postgres)
            writer.field("postgres_admin", postgresAdmin)
            writer.field("nats", nats)
            writer.field("redis", redis)
            writer.field("jwt", jwt)
        }
        try StackFolder.write(json.text + "\n", to: folder.secrets, isSynced: true)
    }
}
