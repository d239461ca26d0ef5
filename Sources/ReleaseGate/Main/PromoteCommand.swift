internal import ArgumentParser
internal import ReleaseGateService

/// `release-gate promote`
struct PromoteCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "promote", abstract: "Check every rule of a promotion, record it, and write it for Git.",
        discussion: """
            The ways are dev -> staging -> prod. Needs the source's certificate, approvals (prod: team_lead and sre; \
            goLive: four more; a hotfix from dev: two more) and the preconditions that release.yaml lists.
            Exit codes: 0 promoted, 2 refused, with every reason.

            EXAMPLES:
              release-gate promote --from dev --env staging --certificate certs/dev/certificate.json
              release-gate promote --from staging --env prod --certificate certs/staging/certificate.json \\
                --approvals approvals --file environments/prod/argocd-applications.yaml --out promotion
            """)

    @OptionGroup var gate: GateOptions
    @OptionGroup var what: ReleaseOptions

    @Option(help: "The environment that it comes from.")
    var from: String

    @Option(help: "The source environment's certificate.")
    var certificate: String?

    @Option(help: "A folder of signed approvals.")
    var approvals: String?

    @Option(help: "The environment's file in Git, to be patched.")
    var file: String?

    @Option(help: "The folder for the patch, the pull request's text and its draft flag.")
    var out = "promotion"

    @Option(help: "The Git repository whose annotated tag v<version> must point at release.yaml's commit.")
    var repository: String?

    @Flag(help: "Push a branch with the patch to --repository's origin, and open its pull request (adapters: open).")
    var open = false

    func validate() throws {
        if open, file == nil || repository == nil { throw ValidationError("--open needs --file and --repository.") }
    }

    func run() async throws {
        let command = self
        let release = try what.file()
        try await gate.run {
            try await $0.promote(
                release, from: command.from, to: command.what.env, approvals: command.approvals,
                certificate: command.certificate, gitOps: command.file.map { ($0, command.out) },
                repository: command.repository, opens: command.open)
        }
    }
}
