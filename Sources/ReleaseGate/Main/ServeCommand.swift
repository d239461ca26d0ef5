internal import ArgumentParser
internal import Bootstrap
internal import Logging
internal import ReleaseGateService

/// `release-gate serve`
struct ServeCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "serve", abstract: "Answer Flagger's webhooks and Argo Rollouts, and show metrics.",
        discussion: """
            POST /flagger/confirm-rollout, /flagger/rollout, /flagger/confirm-traffic-increase, \
            /flagger/confirm-promotion, /flagger/rollback; GET /argo/decision?step=N; GET /metrics, /health, /ready. \
            Settings: GOLDEN_GATE_TOKEN (secret), GOLDEN_HTTP_HOST, GOLDEN_HTTP_PORT (8086), GOLDEN_GATE_NAMESPACE.

            EXAMPLE:
              GOLDEN_GATE_TOKEN_FILE=/run/secrets/gate release-gate serve --env prod
            """)

    @OptionGroup var gate: GateOptions
    @OptionGroup var what: ReleaseOptions

    func run() async throws {
        let (release, environment) = (try what.file(), what.env)
        let settings = ServiceConfiguration()
        let server = try GateSession.ServerSettings(settings)
        let logger = LogOutput.standard().logger(service: "release-gate", level: try settings.logLevel())
        try await gate.run { try await $0.serve(release, environment: environment, server, logger: logger) }
    }
}
