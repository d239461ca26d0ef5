internal import ArgumentParser
internal import ReleaseGateService

/// `release-gate cut`
struct CutCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "cut", abstract: "Move chart, appVersion and changelog to the next version.",
        discussion: """
            Refuses what skips a version, what was minted or burned before, and a bump that the changelog's sections \
            do not match. A breaking version says what breaks in Chart.yaml's annotation golden.dev/breaking-changes, \
            which is "none" otherwise, and has a section Migration.

            EXAMPLES:
              release-gate cut 1.2.0-rc.1 --chart charts/ledger
              release-gate cut 1.2.0 --chart k8s/charts/golden --changelog CHANGELOG.md
            """)

    @OptionGroup var gate: GateOptions

    @Argument(help: "The version, such as 1.2.0 or 1.2.0-rc.1.")
    var version: String

    @Option(help: "The chart's folder.")
    var chart: String

    @Option(help: "The changelog; the chart's own by default.")
    var changelog: String?

    func run() async throws {
        let (version, chart, changelog) = (version, chart, changelog)
        try await gate.run { try await $0.cut(version: version, chart: chart, changelog: changelog) }
    }
}
