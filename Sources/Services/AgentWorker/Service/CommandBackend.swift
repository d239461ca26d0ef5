internal import AgentWorkerCore
internal import Contracts
internal import FoundationEssentials
internal import Logging
internal import Subprocess

/// Runs a program for every work item, in a session and process group of its own.
///
/// The work item goes to standard input, the result is read from standard output, progress from standard error; the
/// table of `CommandOutcome` says what its end means. On a stop the whole group gets SIGTERM, after a grace SIGKILL,
/// and whatever the program left behind in its group is killed when it ends.
struct CommandBackend: Backend {
    private let executable: Executable
    private let settings: AgentWorkerConfiguration.CommandSettings
    private let environment: Environment
    private let watchdog = Watchdog()
    private let logger: Logger

    private typealias Running = Execution<CustomWriteInput, SequenceOutput, SequenceOutput>

    private enum Piece: Sendable {
        case inputWritten
        case output([UInt8])
        case outputTooLarge
        case errors(StderrReader)
        case stopped
    }

    private struct Streams: Sendable {
        var output: [UInt8]?
        var errors: StderrReader?
        var isTooLarge = false
        var isStopped = false
    }

    /// Throws `programNotFound` when there is no such program.
    init(_ settings: AgentWorkerConfiguration.CommandSettings, logger: Logger) async throws {
        self.settings = settings
        self.logger = logger
        environment = .custom(Self.keyed(settings.environment))
        do {
            executable = try await Self.find(settings.program, environment)
        } catch {
            throw AgentWorkerError(
                .programNotFound, "There is no program \(settings.program) that can be run.", underlying: error
            )
        }
    }

    /// A name is looked for in `PATH`; a path is looked for in its folder, which also checks that it can be run.
    private static func find(_ program: String, _ environment: Environment) async throws -> Executable {
        guard program.contains("/") else {
            return .path(try await Executable.name(program).resolveExecutablePath(in: environment))
        }
        let file = URL(filePath: program).standardizedFileURL
        let folder = Environment.custom(keyed(["PATH": file.deletingLastPathComponent().path]))
        return .path(try await Executable.name(file.lastPathComponent).resolveExecutablePath(in: folder))
    }

    private static func keyed(_ variables: [String: String]) -> [Environment.Key: String] {
        Dictionary(uniqueKeysWithValues: variables.map { (Environment.Key(stringLiteral: $0), $1) })
    }

    func run() async throws { try await watchdog.run() }

    func work(on assignment: Assignment) async -> WorkEnd {
        var options = PlatformOptions()
        options.createSession = true
        options.teardownSequence = [teardown]
        let group = GroupBox()
        defer { if let leader = group.leader { watchdog.remove(leader) } }
        do {
            let result = try await Subprocess.run(
                executable, arguments: Arguments(settings.arguments), environment: environment,
                platformOptions: options,
                input: .inputWriter, output: .sequence, error: .sequence
            ) { execution in
                group.leader = execution.processIdentifier.value
                watchdog.add(execution.processIdentifier.value)
                return try await follow(execution, assignment)
            }
            let streams = result.closureResult
            let errors = streams.errors ?? StderrReader()
            if streams.isStopped { return .stopped(errors.usage) }
            return .reported(
                CommandOutcome.report(
                    streams.isTooLarge ? .outputTooLarge : Self.end(result.terminationStatus),
                    output: streams.output ?? [], stderr: errors.tail, usage: errors.usage
                )
            )
        } catch {
            if assignment.stop.reason != nil || Task.isCancelled { return .stopped(nil) }
            logger.warning(
                "a program could not be run",
                metadata: [
                    "task_id": "\(assignment.item.task)", "error": "\(error)",
                    "trace_id": "\(TraceContext.id(of: assignment.traceparent))",
                ]
            )
            let failure = AgentReport.Failure(
                code: "program_not_run", message: "The agent could not run its program: \(error)", isRetryable: true
            )
            return .reported(.failed(failure))
        }
    }

    private var teardown: TeardownStep {
        .send(signal: .terminate, toProcessGroup: true, allowedDurationToNextStep: settings.killGrace)
    }

    /// Reads both streams to their ends; kills the group when told to stop or when the output grows too large.
    private func follow(
        _ execution: Running, _ assignment: Assignment
    ) async throws -> Streams {
        try await withThrowingTaskGroup(of: Piece.self) { group in
            group.addTask { await write(assignment.bytes, to: execution) }
            group.addTask { try await Self.output(of: execution) }
            group.addTask { try await Self.errors(of: execution, assignment) }
            group.addTask {
                await assignment.stop.wait()
                return .stopped
            }
            var streams = Streams()
            while streams.output == nil || streams.errors == nil, let piece = try await group.next() {
                switch piece {
                case .inputWritten: break
                case .output(let bytes): streams.output = bytes
                case .errors(let reader): streams.errors = reader
                case .outputTooLarge:
                    streams.isTooLarge = true
                    streams.output = []
                    await kill(execution)
                case .stopped:
                    streams.isStopped = true
                    await kill(execution)
                }
            }
            group.cancelAll()
            return streams
        }
    }

    /// A program need not read its input, or not all of it.
    private func write(_ bytes: [UInt8], to execution: Running) async -> Piece {
        do {
            _ = try await execution.standardInputWriter.write(bytes)
            try await execution.standardInputWriter.finish()
        } catch {
            logger.debug("a program did not read all of its input", metadata: ["error": "\(error)"])
        }
        return .inputWritten
    }

    private static func output(
        of execution: Running
    ) async throws -> Piece {
        var bytes: [UInt8] = []
        for try await buffer in execution.standardOutput {
            buffer.withUnsafeBytes { bytes.append(contentsOf: $0) }
            if bytes.count > AgentReport.outputBytesMax { return .outputTooLarge }
        }
        return .output(bytes)
    }

    private static func errors(
        of execution: Running, _ assignment: Assignment
    ) async throws -> Piece {
        var reader = StderrReader(budgetLeft: assignment.item.budgetLeft)
        for try await buffer in execution.standardError {
            let found = buffer.withUnsafeBytes { reader.read($0) }
            for progress in found { await assignment.progress(progress) }
        }
        for progress in reader.finish() { await assignment.progress(progress) }
        return .errors(reader)
    }

    /// SIGTERM to the group, a grace, SIGKILL to the group.
    private func kill(_ execution: Running) async {
        await execution.teardown(using: [teardown])
        do {
            try execution.send(signal: .kill, toProcessGroup: true)
        } catch {
            // Usually there is nobody left; the watchdog has the last word.
            logger.trace("a program's group had ended", metadata: ["error": "\(error)"])
        }
    }

    private static func end(_ status: TerminationStatus) -> CommandOutcome.End {
        switch status {
        case .exited(let code): .exited(code)
        case .signaled(let number): .signaled(number)
        }
    }
}

/// The process group of one run, known once it has started.
private final class GroupBox {
    var leader: Int32?
}
