internal import FoundationEssentials
internal import Subprocess

/// `golden up --detach`: this program again, in a session of its own, heard until it is ready or failed.
struct DetachedStart: Sendable {
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
            throw CLIError(.processFailed, "Interrupted before the stack was ready.", kept: "Nothing was left running.")
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
        var options = PlatformOptions()
        options.processGroupID = 0
        let result = try await Subprocess.run(
            .name("sh"), arguments: Arguments(["-c", script, log] + line), platformOptions: options, input: .none,
            output: .sequence, error: .discarded
        ) { execution in
            try await withThrowingTaskGroup(of: Void.self) { group in
                group.addTask {
                    await stop.wait()
                    if stop.isOpen { interruptSupervisor() }
                }
                let outcome = try await listen(execution.standardOutput, view, stop)
                group.cancelAll()
                return outcome
            }
        }
        return result.closureResult
    }

    private func listen(_ output: SubprocessOutputSequence, _ view: UpView, _ stop: Latch) async throws -> Outcome {
        for try await line in output.strings() {
            guard let event = UpEvent(line: line) else { continue }
            view.show(event, isForeground: false)
            switch event {
            case .ready: return .ready
            case .failed(let error): return .failed(error)
            case .step, .firstAdmin, .running, .stopping, .stopped: continue
            }
        }
        return stop.isOpen ? .interrupted : .silent
    }

    private func interruptSupervisor() {
        do {
            try StackRecord.load(from: options.folder)?.supervisor?.send(15)
        } catch {
            FileHandles.standardError.write("\(error)\n")
        }
    }
}
