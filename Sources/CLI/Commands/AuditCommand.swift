internal import ArgumentParser

/// `golden audit`
struct AuditCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "audit",
        abstract: "List, prove and export the log of who did what.",
        discussion: """
            EXAMPLES:
              golden audit list --actor ada --outcome denied
              golden audit verify                  walks every tenant's chain; exits 1 when one is broken
              golden audit export > audit.jsonl
            """,
        subcommands: [AuditListCommand.self, AuditVerifyCommand.self, AuditExportCommand.self],
        defaultSubcommand: AuditListCommand.self
    )
}
