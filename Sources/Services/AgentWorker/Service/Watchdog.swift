internal import Logging
internal import Subprocess
internal import Synchronization

/// Ends process groups: what a program leaves behind when it ends, and every program of this agent when the agent
/// itself dies in whatever way, SIGKILL included.
///
/// A small shell that reads which groups begin and end. Its standard input ends when the agent's process ends, and then
/// it kills what is left. (The kernel's parent-death signal would follow the *thread* that started a program, and would
/// miss what the program itself started.)
final class Watchdog: Sendable {
    /// How long the shell may take to end once its input has ended.
    private static let endingMax: Duration = .seconds(2)
    private static let environment: [Environment.Key: String] = ["PATH": "/usr/bin:/bin"]
    private static let script = """
        trap '' HUP INT TERM
        groups=
        while read -r sign group; do
            case $sign in
            +) groups="$groups $group" ;;
            -)
                kill -KILL "-$group" 2>/dev/null
                rest=
                for each in $groups; do [ "$each" = "$group" ] || rest="$rest $each"; done
                groups=$rest
                ;;
            esac
        done
        for each in $groups; do kill -KILL "-$each" 2>/dev/null; done
        """

    private let lines: AsyncStream<String>
    private let input: AsyncStream<String>.Continuation

    init() {
        // Two lines per program, and programs are bounded by the slots.
        (lines, input) = AsyncStream.makeStream(of: String.self, bufferingPolicy: .unbounded)
    }

    /// The leader of a process group that has to die with this process.
    func add(_ group: Int32) { input.yield("+ \(group)\n") }

    /// The leader has ended: whoever is left in its group is killed.
    func remove(_ group: Int32) { input.yield("- \(group)\n") }

    /// Runs until cancelled. Throws when the shell cannot be kept running: without it no program may be started.
    func run() async throws {
        // Its own session: signals meant for the agent's terminal must not end it first.
        var options = PlatformOptions()
        options.createSession = true
        // When cancelled it is left alone, since it ignores this signal: its input ends, and it kills what is left.
        options.teardownSequence = [.send(signal: .terminalClosed, allowedDurationToNextStep: Self.endingMax)]
        do {
            _ = try await Subprocess.run(
                .name("sh"), arguments: ["-c", Self.script], environment: .custom(Self.environment),
                platformOptions: options, input: .inputWriter, output: .discarded, error: .discarded
            ) { execution in
                for await line in lines { _ = try await execution.standardInputWriter.write(line) }
            }
        } catch {
            try Task.checkCancellation()
            throw AgentWorkerError(.watchdogLost, "The watchdog shell ended.", underlying: error)
        }
        try Task.checkCancellation()
        throw AgentWorkerError(.watchdogLost, "The watchdog shell ended.")
    }
}
