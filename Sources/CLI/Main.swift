internal import ArgumentParser
internal import Contracts
internal import Glibc

/// The entry point: runs the command and maps every failure to a documented exit code, once.
@main
enum Main {
    static func main() async {
        signal(SIGPIPE, SIG_IGN)
        var code = await run()
        if let lost = Results.failure {
            report(lost)
            code = lost.exitStatus.rawValue
        }
        exit(code)
    }

    /// Carries the command line out. Returns the exit code.
    private static func run() async -> Int32 {
        do {
            let command = try GoldenCommand.parseAsRoot()
            if var command = command as? any AsyncParsableCommand {
                try await command.run()
            } else {
                var command = command
                try command.run()
            }
            return ExitStatus.success.rawValue
        } catch let error as CLIError {
            report(error)
            return error.exitStatus.rawValue
        } catch let end as ProgramEnd {
            return end.code
        } catch let status as ExitStatus {
            return status.rawValue
        } catch {
            return tell(error)
        }
    }

    /// Help and version texts go to standard output, complaints about the command line to standard error.
    private static func tell(_ error: any Error) -> Int32 {
        let code = GoldenCommand.exitCode(for: error)
        let text = GoldenCommand.fullMessage(for: error)
        if code.isSuccess {
            if !text.isEmpty { Results.write(text + "\n") }
            return ExitStatus.success.rawValue
        }
        let isUsage = code == .validationFailure
        if isJSON {
            report(
                CLIError(
                    isUsage ? .usage : .processFailed, GoldenCommand.message(for: error),
                    next: isUsage ? "golden --help" : nil))
        } else if !text.isEmpty {
            FileHandles.standardError.write(text + "\n")
        }
        return (isUsage ? ExitStatus.usage : ExitStatus.other).rawValue
    }

    private static var isJSON: Bool { CommandLine.arguments.contains("--json") }

    private static func report(_ error: CLIError) {
        FileHandles.standardError.write(isJSON ? error.json.text + "\n" : "golden: \(error)\n")
    }
}

/// Thrown by a command whose exit code is its answer.
extension ExitStatus: Error {}
