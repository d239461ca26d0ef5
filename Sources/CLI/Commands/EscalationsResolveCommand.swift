internal import ArgumentParser
internal import Contracts

/// `golden escalations resolve`
struct EscalationsResolveCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "resolve", abstract: "Say what becomes of an escalated task.",
        discussion: """
            retry and reassign hand the work out once more, with a plan for the agent if you give one; approve takes
            what was made as good; reject and cancel end the task.

            EXAMPLES:
              golden escalations resolve 0198c5a2-… retry --plan '{"note": "the file is in src/"}'
              golden escalations resolve 0198c5a2-… reassign --role architect
              golden escalations resolve 0198c5a2-… approve
              golden escalations resolve 0198c5a2-… reject --reason "not worth it"
            """
    )

    @Argument(help: "The escalation's id.") var escalation: EscalationArgument
    @Argument(help: "retry, reassign, approve, reject or cancel.") var resolution: String
    @OptionGroup var options: JudgeOptions

    @Option(help: "With retry and reassign: JSON for the agent.") var plan: String?
    @Option(help: "With reassign: who does the work now.") var role: String?
    @Option(help: "With reject and cancel: why.") var reason: String?

    func validate() throws {
        guard Resolution.Word(rawValue: resolution) != nil else {
            throw ValidationError("The resolution must be retry, reassign, approve, reject or cancel.")
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
