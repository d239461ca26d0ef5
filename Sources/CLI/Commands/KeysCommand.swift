internal import ArgumentParser

/// `golden keys`
struct KeysCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "keys",
        abstract: "Create, list and revoke programs' API keys.",
        discussion: """
            A program exchanges its key with `POST /auth/token` for a token of 15 minutes.

            EXAMPLES:
              golden keys create "deploy bot" --role developer --expires 90d
              golden keys list
              golden keys revoke gk_4fTq81Zc
            """,
        subcommands: [KeysListCommand.self, KeysCreateCommand.self, KeysRevokeCommand.self],
        defaultSubcommand: KeysListCommand.self
    )
}
