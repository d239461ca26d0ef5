internal import ArgumentParser
internal import Contracts

/// `golden escalations resolve`
struct EscalationsResolveCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "resolve", abstract: "Say what becomes of an escalated task.",
        discussion: """
            retry and reassign hand the work out once more, with a plan for the agent if you give one; lower_scope asks
            for what its plan says; raise_deadline gives each attempt, or a human, more time; approve takes what was
            made as good; reject and cancel end the task.

            EXAMPLES:
              golden escalations resolve 0198c5a2-… retry --plan '{"note": "the file is in src/"}'
              golden escalations resolve 0198c5a2-… reassign --role architect
              golden escalations resolve 0198c5a2-… lower_scope --plan '{"note": "the tests alone"}'
              golden escalations resolve 0198c5a2-… raise_deadline --seconds 3600
              golden escalations resolve 0198c5a2-… approve
              golden escalations resolve 0198c5a2-… reject --reason "not worth it"
            """
    )

    @Argument(help: "The escalation's id.") var escalation: EscalationArgument
    @Argument(
        help: "retry, reassign, lower_scope, raise_deadline, approve, reject or cancel.",
        completion: .list(Resolution.Word.allCases.map(\.rawValue)))
    var resolution: String
    @OptionGroup var options: JudgeOptions

    @Option(help: "With lower_scope, retry, reassign and raise_deadline: JSON for the agent.") var plan: String?
    @Option(help: "With reassign: who does the work now.") var role: String?
    @Option(help: "With raise_deadline: how long.") var seconds: Int?
    @Option(help: "With reject and cancel: why.") var reason: String?

    func validate() throws {
        guard Resolution.Word(rawValue: resolution) != nil else {
            let known = Resolution.Word.allCases.map(\.rawValue).joined(separator: ", ")
            throw ValidationError("The resolution must be one of \(known).")
        }
    }

    func run() async throws {
        let plan: JSON?
        do {
            plan = try self.plan.map { text throws(JSONError) in try JSON(parsing: text.utf8) }
        } catch {
            throw CLIError(.usage, "--plan is no JSON: \(error)", kept: "Nothing was sent.")
        }
        let body = JSONWriter.object {
            $0.field("resolution", resolution)
            $0.field(ifPresent: "plan", plan)
            $0.field(ifPresent: "role", role)
            $0.field(ifPresent: "timeout_seconds", seconds)
            $0.field(ifPresent: "reason", reason)
        }
        try await options.carryOut {
            try await $0.post("/escalations/\(escalation.id)/resolve", body)
        } show: { console, answer in
            try EscalationPrinter.print(answer, on: console)
            var reader = try JSONReader(answer)
            console.note("Next: golden tasks follow \(try reader.string("task_id"))")
        }
    }
}
