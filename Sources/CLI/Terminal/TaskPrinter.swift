internal import Contracts
internal import FoundationEssentials

/// Shows tasks to people.
struct TaskPrinter {
    static let outputLinesMax = 200

    let console: Console

    /// The end of a task: its outcome in one line, then its output or error.
    func printResult(_ task: TaskDocument) {
        let state = console.styled(task.state, TaskDocument.style(of: task.state) ?? .bold)
        let age = task.ageSeconds(now: Date()).map { " after \(Spans.text(seconds: $0))" } ?? ""
        let attempts = task.attempt > 1 ? ", \(task.attempt) attempts" : ""
        console.print("Task \(task.id) \(state)\(age)\(attempts).")
        if let code = task.errorCode {
            console.print("  \(Table.printable("\(code): \(task.errorMessage ?? "")"))")
        }
        if let output = task.output { printOutput(output) }
    }

    /// Everything about one task.
    func printDetails(_ task: TaskDocument) {
        var rows = [("task", "\(task.id)"), ("state", task.state)]
        if let name = task.name { rows.append(("name", name)) }
        rows.append(("workflow", task.workflow))
        if let role = task.role { rows.append(("role", role)) }
        rows.append(("attempt", task.attemptMax.map { "\(task.attempt) of \($0)" } ?? "\(task.attempt)"))
        for (label, date) in [("created", task.createdAt), ("updated", task.updatedAt), ("ended", task.endedAt)] {
            if let date { rows.append((label, Timestamp.text(date))) }
        }
        if task.rework > 0 { rows.append(("rework", "\(task.rework) of \(Workflow.reworkMax) rounds")) }
        for review in task.reviews {
            rows.append(
                ("review \(review.round)", "\(review.status)  \(review.summary ?? "")  session \(review.session)"))
        }
        if let code = task.errorCode { rows.append(("error", "\(code): \(task.errorMessage ?? "")")) }
        for (label, value) in rows {
            let style = label == "state" ? TaskDocument.style(of: value) ?? .bold : .bold
            let padded = label + String(repeating: " ", count: max(1, 10 - label.count))
            let shown = Table.printable(value)
            console.print("\(console.styled(padded, .dim))\(label == "state" ? console.styled(shown, style) : shown)")
        }
        if let output = task.output {
            console.print(console.styled("output", .dim))
            printOutput(output)
        }
    }

    /// What a task made. Files, `{"files": {"path": "text"}}`, are shown as such, below the rest.
    private func printOutput(_ output: JSON) {
        guard let fields = output.fields, let files = fields.first(where: { $0.name == "files" })?.value.fields,
            !files.isEmpty, files.allSatisfy({ $0.value.kind == .string })
        else { return printJSON(output) }
        printJSON(
            JSONWriter.object { writer in
                for field in fields where field.name != "files" { writer.field(field.name, field.value) }
            })
        for file in files {
            console.print(console.styled(Table.printable(file.name), .dim))
            printJSON(file.value)
        }
    }

    /// A JSON value, indented; a plain string as its text.
    func printJSON(_ json: JSON) {
        let lines: [Substring]
        if let text = json.string {
            lines = text.split(separator: "\n", omittingEmptySubsequences: false)
        } else {
            lines = PrettyJSON.text(json).split(separator: "\n", omittingEmptySubsequences: false)
        }
        for line in lines.prefix(Self.outputLinesMax) { console.print("  " + Table.printable(String(line))) }
        if lines.count > Self.outputLinesMax {
            console.note("  … \(lines.count - Self.outputLinesMax) more lines; --json prints all.")
        }
    }
}
