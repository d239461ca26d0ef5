internal import Contracts
internal import FoundationEssentials

/// What `--env` gave the stack that runs, in `environment.json` (0600, for it may hold secrets): commands that work on
/// the stack from outside its supervisor use the same settings.
enum StackEnvironment {
    /// Nil when a build that did not write it down started the stack: what it was given is not known then.
    static func load(from folder: StackFolder) throws(CLIError) -> [String: String]? {
        guard FileManager.default.fileExists(atPath: folder.environment) else { return nil }
        guard let text = readSmallFile(folder.environment) else {
            throw CLIError(
                .fileUnreadable, "\(folder.environment) cannot be read.",
                next: "Run golden as the account that started the stack."
            )
        }
        do {
            return try read(text)
        } catch {
            throw CLIError(
                .fileUnreadable, "\(folder.environment) is damaged.",
                next: "golden down, then golden up with its --agent and --env, or --orchestrators 1, writes it anew.",
                underlying: error
            )
        }
    }

    static func save(_ environment: [String: String], to folder: StackFolder) throws(CLIError) {
        try StackFolder.write(text(environment) + "\n", to: folder.environment, isSynced: true)
    }

    static func text(_ environment: [String: String]) -> String { json(environment).text }

    static func json(_ environment: [String: String]) -> JSON {
        JSONWriter.object { writer in
            for (name, value) in environment.sorted(by: { $0.key < $1.key }) { writer.field(name, value) }
        }
    }

    static func read(_ text: String) throws(JSONError) -> [String: String] {
        variables(in: try JSON(parsing: text.utf8))
    }

    static func variables(in json: JSON) -> [String: String] {
        var environment: [String: String] = [:]
        for field in json.fields ?? [] { environment[field.name] = field.value.string }
        return environment
    }
}
