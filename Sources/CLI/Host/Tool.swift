internal import Subprocess

/// Runs a helper program to its end, in `/`: an account it changes to may not see the caller's folder.
enum Tool {
    static let outputBytesMax = 256 << 10
    static let runMax: Duration = .seconds(120)

    struct Outcome: Sendable {
        let isSuccess: Bool
        /// How it ended, in words.
        let ending: String
        /// Standard output and standard error, as they came.
        let output: String

        func check(_ name: String, _ message: String) throws(CLIError) {
            if isSuccess { return }
            throw CLIError(.processFailed, "\(message)\n\(name) ended with \(ending):\n\(output)")
        }
    }

    /// - Parameter line: the program, looked up in the environment's PATH or absolute, and its arguments.
    ///   It is killed after `runMax`, or when the task is cancelled.
    static func run(_ line: [String], input: String = "", environment: [String: String]) async -> Outcome {
        await withTaskGroup(of: Outcome?.self) { group in
            group.addTask { await runUnbounded(line, input: input, environment: environment) }
            group.addTask {
                do { try await Task.sleep(for: runMax) } catch { return nil }
                return Outcome(isSuccess: false, ending: "no end within \(runMax.components.seconds) s", output: "")
            }
            defer { group.cancelAll() }
            for await outcome in group { if let outcome { return outcome } }
            return Outcome(isSuccess: false, ending: "its cancellation", output: "")
        }
    }

    private static func runUnbounded(_ line: [String], input: String, environment: [String: String]) async -> Outcome {
        let custom = Dictionary(uniqueKeysWithValues: environment.map { (Environment.Key(stringLiteral: $0), $1) })
        do {
            let result = try await Subprocess.run(
                .name("sh"), arguments: Arguments(["-c", "cd / && exec \"$0\" \"$@\""] + line),
                environment: .custom(custom),
                input: .string(input), output: .string(limit: outputBytesMax), error: .combinedWithOutput
            )
            return Outcome(
                isSuccess: result.terminationStatus.isSuccess, ending: "\(result.terminationStatus)",
                output: result.standardOutput
            )
        } catch {
            return Outcome(isSuccess: false, ending: "\(error)", output: "")
        }
    }
}
