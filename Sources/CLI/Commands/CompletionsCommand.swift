internal import ArgumentParser

/// `golden completions`
struct CompletionsCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "completions",
        abstract: "Print a completion script for a shell.",
        discussion: """
            EXAMPLES:
              golden completions bash > ~/.local/share/bash-completion/completions/golden
              golden completions zsh  > "${fpath[1]}/_golden"
              golden completions fish > ~/.config/fish/completions/golden.fish
            """
    )

    enum Shell: String, ExpressibleByArgument, CaseIterable {
        case bash, zsh, fish

        var parserShell: CompletionShell {
            switch self {
            case .bash: .bash
            case .zsh: .zsh
            case .fish: .fish
            }
        }
    }

    @Argument(help: "bash, zsh or fish.") var shell: Shell

    func run() throws {
        Results.write(GoldenCommand.completionScript(for: shell.parserShell) + "\n")
    }
}
