internal import ArgumentParser
internal import Contracts
internal import Glibc

/// The entry point: runs the command and maps every failure to a documented exit code, once.
@main
enum Main {
    static func main() async {
        signal(SIGPIPE, SIG_IGN)
        do {
            let command = try GoldenCommand.parseAsRoot()
            if var command = command as? any AsyncParsableCommand {
                try await command.run()
            } else {
                var command = command
                try command.run()
            }
        } catch let error as CLIError {
            report(error)
            exit(error.exitStatus.rawValue)
        } catch let end as ProgramEnd {
            exit(end.code)
        } catch let status as ExitStatus {
            exit(status.rawValue)
        } catch {
            leave(with: error)
        }
    }

    /// Help and version texts go to standard output, complaints about the command line to standard error.
    private static func leave(with error: any Error) -> Never {
        let code = GoldenCommand.exitCode(for: error)
        let text = GoldenCommand.fullMessage(for: error)
        let isUsage = code == .validationFailure
        let handle = code.isSuccess ? FileHandles.standardOutput : FileHandles.standardError
        if !text.isEmpty { handle.write(text + "\n") }
        exit(isUsage ? ExitStatus.usage.rawValue : code.isSuccess ? 0 : ExitStatus.other.rawValue)
    }

    private static func report(_ error: CLIError) {
        let isJSON = CommandLine.arguments.contains("--json")
        FileHandles.standardError.write(isJSON ? error.json.text + "\n" : "golden: \(error)\n")
    }
}

/// Thrown by a command whose exit code is its answer.
extension ExitStatus: Error {}
