internal import ArgumentParser
internal import Bootstrap

@main
struct ReleaseGateCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "release-gate",
        abstract: "Judges releases: evidence in; promote, hold or roll back out.", version: Version.current
    )
}
