internal import Contracts
internal import Foundation
internal import Subprocess

/// Shows a command, then runs it: nothing is run that was not shown.
package struct AdapterRunner: Sendable {
    static let outputBytesMax = 64 << 10
    /// An application of Argo CD lists all it is made of.
    static let answerBytesMax = 8 << 20
    static let runMax: Duration = .seconds(900)

    package let adapter: Adapter
    /// Where the preset `webhook` posts to.
    package let webhook: String?
    package let console: Console
    /// False: commands are shown only.
    package let isArmed: Bool

    package init(adapter: Adapter, webhook: String?, console: Console, isArmed: Bool) {
        self.adapter = adapter
        self.webhook = webhook
        self.console = console
        self.isArmed = isArmed
    }

    /// Carries an action out for these services in their order; once where the command names no service. Services of
    /// which a command asks for a Rollout that they do not have are left out, and said to be.
    ///
    /// - Parameters:
    ///   - each: what is filled in for each service, as `ReleaseValues.each` has it.
    ///   - isResumed: it was begun before and nobody knows how far it got. The action's status is asked of each service
    ///     then; without one, everything is run again.
    /// - Throws: `adapterFailed` at the first command that fails, naming those that were not run; `invalid` when no
    ///   service has the Rollout that it asks for.
    package func run(
        _ action: Adapter.Action, services: [String], values: [CommandTemplate.Place: String],
        each: [String: [CommandTemplate.Place: String]] = [:], isResumed: Bool = false
    ) async throws(GateError) {
        guard let template = adapter.commands[action] else {
            console.note("No command is configured for \(action.rawValue): carry it out by hand.")
            return
        }
        let rounds = try template.isPerService ? having(template, services, each) : [services.first ?? ""]
        if isResumed, isArmed, adapter.statuses[action] == nil {
            console.note("\(action.rawValue) was begun before, and no status command says how far it got: once more.")
        }
        for (index, service) in rounds.enumerated() {
            let own = values.merging([.service: service, .action: action.rawValue]) { $1 }
                .merging(each[service] ?? [:]) { $1 }
            do {
                try await run(action, template, own, isResumed: isResumed)
            } catch {
                let rest = rounds.dropFirst(index + 1)
                let kept = rest.isEmpty ? "" : " Not reached: \(rest.joined(separator: ", "))."
                throw GateError(error.code, error.message + kept, next: error.next, underlying: error.underlying)
            }
        }
    }

    private func run(
        _ action: Adapter.Action, _ template: CommandTemplate, _ values: [CommandTemplate.Place: String],
        isResumed: Bool
    ) async throws(GateError) {
        let commands = try await commands(template, values)
        if isResumed, isArmed, try await isDone(action, values) {
            for words in commands { console.note("done already: " + CommandTemplate.shown(words)) }
            return
        }
        for words in commands {
            console.note((isArmed ? "$ " : "would run: ") + CommandTemplate.shown(words))
            if isArmed { try await run(words) }
        }
    }

    /// What is run for one service; for a Rollout's way back as far as it has not got.
    private func commands(
        _ template: CommandTemplate, _ values: [CommandTemplate.Place: String]
    ) async throws(GateError) -> [[String]] {
        let version = values[.previousVersion] ?? "what ran before"
        guard isArmed else {
            // What nobody knows, or is only looked for when it is needed, keeps no command from being shown.
            let unknown = "<that of \(version)>"
            let shown: [CommandTemplate.Place: String] = [.toRevision: unknown, .previousRevision: unknown]
            return [try template.filled(shown.merging(values) { $1 })]
        }
        guard template.names(.toRevision) else { return [try template.filled(values)] }
        let words = try CommandTemplate(RolloutWayBack.query).filled(values)
        console.note("$ " + CommandTemplate.shown(words))
        let outcome = await Self.outcome(of: words, isQuery: true)
        guard outcome.isSuccess else {
            throw GateError(
                .adapterFailed,
                "\(CommandTemplate.shown(words)) ended with \(outcome.ending): \(outcome.output.prefix(500))")
        }
        let answer: JSON
        do { answer = try JSON(parsing: outcome.output.utf8) } catch {
            throw GateError(.adapterFailed, "\(CommandTemplate.shown(words)) answered with no JSON.", underlying: error)
        }
        let commands = try RolloutWayBack.commands(template, values, answer)
        if commands.isEmpty { console.note("\(values[.rollout] ?? "It") is back at \(version) already.") }
        return commands
    }

    /// The services that a command can be about.
    private func having(
        _ template: CommandTemplate, _ services: [String], _ each: [String: [CommandTemplate.Place: String]]
    ) throws(GateError) -> [String] {
        guard template.names(.rollout) else { return services }
        let found = services.filter { each[$0]?[.rollout] != nil }
        guard !found.isEmpty else {
            throw GateError(
                .invalid, "The command \(template.words[0]) is about Rollouts, and no service has one.",
                next: "release.yaml: canary: true at each service that has a Rollout.")
        }
        let others = services.filter { !found.contains($0) }
        if !others.isEmpty {
            console.note("Without a Rollout, and left as they are: \(others.joined(separator: ", ")).")
        }
        return found
    }

    /// Shows one command and runs it.
    func step(_ words: [String]) async throws(GateError) {
        console.note("$ " + CommandTemplate.shown(words))
        try await run(words)
    }

    /// Whether something is run for this action at all.
    package func carriesOut(_ action: Adapter.Action) -> Bool { isArmed && adapter.commands[action] != nil }

    /// The Rollouts of services that a way back does not name: it changes what is asked for, and they walk there.
    func rolloutsWalking(
        _ services: [String], _ each: [String: [CommandTemplate.Place: String]]
    ) -> [String] {
        guard adapter.commands[.rollback]?.names(.rollout) != true else { return [] }
        return services.compactMap { each[$0]?[.rollout] }
    }

    /// Asks the action's status.
    ///
    /// - Throws: `adapterFailed` when that does not know.
    private func isDone(
        _ action: Adapter.Action, _ values: [CommandTemplate.Place: String]
    ) async throws(GateError) -> Bool {
        let words: [String]
        let why: String
        switch adapter.statuses[action] {
        case nil: return false
        case .command(let template):
            words = try template.filled(values)
            console.note("$ " + CommandTemplate.shown(words))
            let outcome = await Self.outcome(of: words)
            if outcome.isSuccess { return true }
            if outcome.exitCode == 1 { return false }
            for line in outcome.output.split(separator: "\n") { console.note("  \(line)") }
            why = "ended with \(outcome.ending)"
        case .tool(let form, let template):
            words = try template.filled(values)
            console.note("$ " + CommandTemplate.shown(words))
            switch await Self.answer(of: words, form, action, values) {
            case .done: return true
            case .notDone: return false
            case .unknown(let reason): why = "does not tell: \(reason)"
            }
        }
        throw GateError(
            .adapterFailed, "\(CommandTemplate.shown(words)) \(why): nobody knows what was done.",
            next: "Find out, finish it by hand where it is half done, and run the same gate command again.")
    }

    private static func answer(
        of words: [String], _ form: AdapterStatus.Form, _ action: Adapter.Action,
        _ values: [CommandTemplate.Place: String]
    ) async -> AdapterStatus.Answer {
        let outcome = await outcome(of: words, isQuery: true)
        guard outcome.isSuccess else {
            return .unknown("it ended with \(outcome.ending): \(outcome.output.prefix(500))")
        }
        do {
            return AdapterStatus.judge(form, action, values, try JSON(parsing: outcome.output.utf8))
        } catch {
            return .unknown("its answer is no JSON")
        }
    }

    private func run(_ words: [String]) async throws(GateError) {
        if words[0] == "webhook" { return try await post(words) }
        let outcome = await Self.outcome(of: words)
        for line in outcome.output.split(separator: "\n") { console.note("  \(line)") }
        guard outcome.isSuccess else {
            throw GateError(
                .adapterFailed, "\(CommandTemplate.shown(words)) ended with \(outcome.ending).",
                next: "Look at what it said, and run the same gate command again: what is done already stays done.")
        }
    }

    /// `webhook action service version environment reason` becomes one POST.
    private func post(_ words: [String]) async throws(GateError) {
        guard let webhook else {
            throw GateError(.invalid, "The adapter webhook needs GOLDEN_GATE_WEBHOOK, the address to post to.")
        }
        let fields = ["action", "service", "version", "environment", "reason"]
        let body = JSONWriter.object { writer in
            for (name, value) in zip(fields, words.dropFirst()) { writer.field(name, value) }
        }
        let answer = try await HTTPFetch()(webhook, body: Array(body.bytes))
        guard (200..<300).contains(answer.status) else {
            throw GateError(.adapterFailed, "\(HTTPFetch.place(webhook)) answered with status \(answer.status).")
        }
    }

    private struct Outcome: Sendable {
        let isSuccess: Bool
        let ending: String
        let output: String
        var exitCode: Int32?
    }

    private static func outcome(of words: [String], isQuery: Bool = false) async -> Outcome {
        await withTaskGroup(of: Outcome?.self) { group in
            group.addTask { isQuery ? await asked(words) : await unbounded(words) }
            group.addTask {
                do { try await Task.sleep(for: runMax) } catch { return nil }
                return Outcome(isSuccess: false, ending: "no end within \(runMax.components.seconds) s", output: "")
            }
            defer { group.cancelAll() }
            for await outcome in group { if let outcome { return outcome } }
            return Outcome(isSuccess: false, ending: "its cancellation", output: "")
        }
    }

    private static func unbounded(_ words: [String]) async -> Outcome {
        do {
            let result = try await Subprocess.run(
                // env takes a name from PATH or a path; the library takes each in its own way.
                .name("env"), arguments: Arguments(["--"] + words), input: .none,
                output: .string(limit: outputBytesMax), error: .combinedWithOutput)
            let code: Int32? =
                if case .exited(let code) = result.terminationStatus { Int32(code) } else { nil }
            return Outcome(
                isSuccess: result.terminationStatus.isSuccess, ending: "\(result.terminationStatus)",
                output: result.standardOutput, exitCode: code)
        } catch {
            return Outcome(isSuccess: false, ending: "\(error)", output: "")
        }
    }

    /// What it printed, apart from what it complained of.
    private static func asked(_ words: [String]) async -> Outcome {
        do {
            let result = try await Subprocess.run(
                .name("env"), arguments: Arguments(["--"] + words), input: .none,
                output: .string(limit: answerBytesMax), error: .string(limit: outputBytesMax))
            let isSuccess = result.terminationStatus.isSuccess
            return Outcome(
                isSuccess: isSuccess, ending: "\(result.terminationStatus)",
                output: isSuccess ? result.standardOutput : result.standardError)
        } catch {
            return Outcome(isSuccess: false, ending: "\(error)", output: "")
        }
    }
}
