internal import FoundationEssentials
internal import Subprocess

/// `golden up --detach`: this program again, in a session of its own, heard until it is ready or failed.
struct DetachedStart: Sendable {
    /// What `--env` gave, for the process in the background: everybody may read a command line, its own account alone
    /// the environment.
    static let variablesName = "GOLDEN_UP_VARIABLES"
    static let askEvery: Duration = .milliseconds(500)

    let options: StackOptions
    let output: OutputOptions
    let environment: [String: String]

    func run(arguments: [String]) async throws {
        try options.folder.create()
        let view = UpView(
            console: Console(environment: environment), folder: options.folder, isJSON: output.isJSON
        )
        let line = [try Sibling.ownPath()] + arguments + ["--data", options.folder.path]
        let outcome = try await StopSignals.with { stop in try await start(line, view, stop) }
        switch outcome {
        case .ready: return
        case .failed(let error): throw error
        case .interrupted:
            throw CLIError(
                .processFailed, "Interrupted before the stack was ready.",
                kept: "Nothing that this command started was left running."
            )
        case .silent:
            throw CLIError(
                .processFailed, "The supervisor ended without a word.\n\(LogFiles.tail(log))",
                next: "The whole log: \(log)"
            )
        }
    }

    private var log: String { options.folder.log(of: "stack") }

    private enum Outcome: Sendable {
        case ready
        case failed(CLIError)
        case interrupted
        case silent
    }

    /// `cat` lives until the supervisor is ready and lets go of the pipe; without it the shell would end at once and
    /// take the stream with it. In a group of its own, so that Ctrl-C reaches this program alone.
    private func start(_ line: [String], _ view: UpView, _ stop: Latch) async throws -> Outcome {
        let script = "setsid --fork \"$@\" 2>>\"$0\" </dev/null | cat"
        var platform = PlatformOptions()
        platform.processGroupID = 0
        let variables = StackEnvironment.text(options.environment)
        let result = try await Subprocess.run(
            .name("sh"), arguments: Arguments(["-c", script, log] + line),
            environment: .inherit.updating([Environment.Key(stringLiteral: Self.variablesName): variables]),
            platformOptions: platform, input: .none, output: .sequence, error: .discarded
        ) { execution in
            try await withThrowingTaskGroup(of: Void.self) { group in
                let outcome = try await listen(execution.standardOutput, view, stop, in: &group)
                group.cancelAll()
                return outcome
            }
        }
        return result.closureResult
    }

    private func listen(
        _ output: SubprocessOutputSequence, _ view: UpView, _ stop: Latch,
        in group: inout ThrowingTaskGroup<Void, any Error>
    ) async throws -> Outcome {
        for try await line in output.strings() {
            guard let event = UpEvent(line: line) else { continue }
            view.show(event, isForeground: false)
            switch event {
            case .ready: return .ready
            case .failed(let error): return .failed(error)
            case .supervisor(let started): group.addTask { await Self.interrupt(started, when: stop) }
            case .step, .note, .firstAdmin, .running, .stopping, .stopped: continue
            }
        }
        return stop.isOpen ? .interrupted : .silent
    }

    /// Asks the supervisor that this command started to stop, and no other. More than once, for it may not have
    /// listened yet.
    private static func interrupt(_ supervisor: ProcessIdentity, when stop: Latch) async {
        await stop.wait()
        while stop.isOpen, supervisor.send(15) {
            do { try await Task.sleep(for: askEvery) } catch { return }
        }
    }
}
