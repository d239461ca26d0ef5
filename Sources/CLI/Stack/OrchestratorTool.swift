internal import Glibc
internal import Subprocess

/// Runs `orchestrator migrate|jetstream …` with the stack's environment, its output passed through.
struct OrchestratorTool: Sendable {
    let folder: StackFolder
    let environment: [String: String]

    /// - Parameter needs: the variable that, when the caller has set it, points at other servers than the stack's.
    /// - Throws: `ExitStatus` when the tool did not succeed; its own message has been shown.
    func run(_ arguments: [String], needs: String) async throws {
        let program = try Sibling.path("orchestrator", environment: environment)
        var line: [Environment.Key: String] = [:]
        for (key, value) in try toolEnvironment(needs) { line[Environment.Key(stringLiteral: key)] = value }
        let result = try await Subprocess.run(
            .name("sh"), arguments: Arguments(["-c", "exec \"$0\" \"$@\"", program] + arguments),
            environment: .custom(line), input: .none, output: .currentStandardOutput, error: .currentStandardError
        )
        switch result.terminationStatus {
        case .exited(0): return
        case .exited(64): throw ExitStatus.usage
        case .exited, .signaled: throw ExitStatus.other
        }
    }

    private func toolEnvironment(_ needs: String) throws -> [String: String] {
        if environment[needs] != nil || environment["\(needs)_FILE"] != nil {
            var own = environment
            if own["GOLDEN_MIGRATIONS"] == nil { own["GOLDEN_MIGRATIONS"] = try Sibling.migrations(environment: own) }
            return own
        }
        let record = try StackRecord.require(
            runningIn: folder, missing: " and \(needs) is not set", instead: ", or set \(needs).")
        let secrets = try StackSecrets.require(in: folder)
        var options = StackOptions(folder: folder)
        let given = try StackEnvironment.load(from: folder)
        if given == nil, needs == "GOLDEN_NATS_URL" {
            throw CLIError(
                .fileUnreadable, "An earlier build started the stack; what --env gave it is not known.",
                kept: "Nothing was changed.", next: "golden down, then golden up with its --env."
            )
        }
        options.environment = given ?? [:]
        return try StackPlan(
            options: options, ports: record.ports, secrets: secrets,
            postgresFolder: record.postgresFolder, caller: environment, isRoot: geteuid() == 0
        ).orchestratorEnvironment(index: 0)
    }
}
