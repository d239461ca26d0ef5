internal import ArgumentParser
internal import ReleaseGateService

/// `release-gate evaluate`
struct EvaluateCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "evaluate", abstract: "Make one decision and explain it, line by line.",
        discussion: """
            Looks once. While a canary is walked, the decision is about the step that it has reached; otherwise about \
            one step's time that ends now, at the last step unless --step says which.
            Exit codes: 0 advance or seal, 10 hold, 20 roll back, 2 invalid.

            EXAMPLES:
              release-gate evaluate --env staging
              release-gate evaluate --env prod --step 1 --json | jq -r .outcome
            """)

    @OptionGroup var gate: GateOptions
    @OptionGroup var what: ReleaseOptions

    @Option(help: "As of this Unix time; now by default.")
    var at: Int?

    @Option(help: "When the step began, as a Unix time.")
    var began: Int?

    @Option(help: "Which step it is about, from 1.")
    var step: Int?

    @Flag(help: "Keep the decision in the lineage; a walk goes by it only where it is of the step it has reached.")
    var record = false

    @Option(help: "Write what was scraped to this file, as recorded evidence.")
    var samples: String?

    @Flag(help: "The decision as one line of JSON.")
    var json = false

    func run() async throws {
        var question = GateSession.Question()
        question.environment = what.env
        question.at = at
        question.began = began
        question.step = step
        question.isJSON = json
        question.isRecorded = record
        question.samplesFile = samples
        let (release, asked) = (try what.file(), question)
        throw ExitCode(try await gate.run { try await $0.evaluate(release, asked) })
    }
}
