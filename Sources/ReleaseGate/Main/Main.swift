internal import ArgumentParser
internal import Bootstrap
internal import Glibc
internal import ReleaseGateService

/// The entry point: runs the command and maps every failure to a documented exit code, once.
@main
enum Main {
    static func main() async {
        signal(SIGPIPE, SIG_IGN)
        do {
            var command = try ReleaseGateCommand.parseAsRoot()
            if var asynchronous = command as? any AsyncParsableCommand {
                try await asynchronous.run()
            } else {
                try command.run()
            }
        } catch let error as GateError {
            Console().note("release-gate: \(error)")
            exit(error.code == .invalid || error.code == .refused || error.code == .tampered ? 2 : 1)
        } catch let error as BootstrapError {
            Console().note("release-gate: \(error)")
            exit(2)
        } catch let code as ExitCode {
            exit(code.rawValue)
        } catch {
            let code = ReleaseGateCommand.exitCode(for: error)
            let text = ReleaseGateCommand.fullMessage(for: error)
            if code.isSuccess { Console().print(text) } else { Console().note(text) }
            exit(code == .validationFailure ? 2 : code.isSuccess ? 0 : 1)
        }
    }
}

struct ReleaseGateCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "release-gate",
        abstract: "Judges releases: evidence in; promote, hold or roll back out.",
        discussion: """
            Reads gate.yaml (what is watched, by which rules) and release.yaml (what is released); docs/releasing.md \
            explains both, from the cut to the certificate.

            EXIT CODES:
              0   advance, seal, or done
              10  hold: wait, extend, hold
              20  roll back
              2   invalid: wrong usage or file, refused by a rule, or changed since it was signed or recorded
              1   it did not work: a server, a store or a command failed

            EXAMPLES:
              release-gate evaluate --env staging
              release-gate canary --env prod --carry-out
              release-gate history --jsonl > lineage.jsonl
            """,
        version: Version.current,
        subcommands: [
            SLOCommand.self, CutCommand.self, EvaluateCommand.self, CanaryCommand.self, PromoteCommand.self,
            RollbackCommand.self, ReverifyCommand.self, ApproveCommand.self, VerifyCommand.self, KeygenCommand.self,
            HistoryCommand.self, CertificateCommand.self, ReplayCommand.self, ServeCommand.self, PreflightCommand.self,
            DriftCommand.self, UninstallCommand.self, AttestCommand.self,
        ]
    )
}
