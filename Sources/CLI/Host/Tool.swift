internal import Subprocess

/// Runs a helper program to its end, in `/`: an account it changes to may not see the caller's folder.
enum Tool {
    static let outputBytesMax = 256 << 10
    static let runMax: Duration = .seconds(120)
    /// For what may go through all of a database.
    static let wholeDataMax: Duration = .seconds(6 * 3600)

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
    ///   It is killed after `limit`, or when the task is cancelled.
    static func run(
        _ line: [String], input: String = "", environment: [String: String], within limit: Duration = runMax
    ) async -> Outcome {
        await withTaskGroup(of: Outcome?.self) { group in
            group.addTask { await runUnbounded(line, input: input, environment: environment) }
            group.addTask {
                do { try await Task.sleep(for: limit) } catch { return nil }
                return Outcome(isSuccess: false, ending: "no end within \(limit.components.seconds) s", output: "")
            }
            defer { group.cancelAll() }
            for await outcome in group { if let outcome { return outcome } }
            return Outcome(isSuccess: false, ending: "its cancellation", output: "")
        }
    }

    /// A program need not read its input, or not all of it: how it ended says what there is to say.
    private static func write(_ input: String, to writer: StandardInputWriter) async {
        if input.isEmpty { return }
        do { _ = try await writer.write(Array(input.utf8)) } catch { return }
    }

    private static func runUnbounded(_ line: [String], input: String, environment: [String: String]) async -> Outcome {
        let custom = Dictionary(uniqueKeysWithValues: environment.map { (Environment.Key(stringLiteral: $0), $1) })
        do {
            let result = try await Subprocess.run(
                .name("sh"), arguments: Arguments(["-c", "cd / && exec \"$0\" \"$@\""] + line),
                environment: .custom(custom),
                input: .inputWriter, output: .string(limit: outputBytesMax), error: .combinedWithOutput
            ) { execution in
                // Written here and not by the library, which stops the whole process when a program does not read it.
                await write(input, to: execution.standardInputWriter)
                try await execution.standardInputWriter.finish()
            }
            return Outcome(
                isSuccess: result.terminationStatus.isSuccess, ending: "\(result.terminationStatus)",
                output: result.standardOutput
            )
        } catch {
            return Outcome(isSuccess: false, ending: "\(error)", output: "")
        }
    }
}
