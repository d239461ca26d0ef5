internal import ArgumentParser
internal import Contracts

/// `golden dlq show`
struct DLQShowCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "show", abstract: "Show one dead letter: what it said, and its story.",
        discussion: """
            EXAMPLES:
              golden dlq show 0198c5a2-…
              golden dlq show 0198c5a2-… --json | jq -r .data     the message itself
            """
    )

    @Argument(help: "The dead letter's id.") var letter: DeadLetterArgument
    @OptionGroup var options: JudgeOptions

    func run() async throws {
        try await options.carryOut {
            try await $0.get("/dlq/\(letter.id)")
        } show: {
            try DeadLetterPrinter.print($1, on: $0)
        }
    }
}

/// Prints one dead letter.
enum DeadLetterPrinter {
    /// Of a message on the screen; `--json` shows all of it.
    static let dataMax = 2000

    static func print(_ letter: JSON, on console: Console) throws {
        var reader = try JSONReader(letter)
        let state = try reader.string("state")
        console.print("\(console.styled(try reader.string("id"), .bold))  \(Table.printable(state))")
        let fields = [
            ("for", "original_subject"), ("because", "reason"), ("error", "error"), ("cause", "cause"),
            ("tenant", "tenant"), ("task", "task_id"), ("consumer", "consumer"), ("first seen", "first_seen"),
            ("filed", "created_at"), ("replayed", "replayed_at"), ("resolved", "resolved_at"), ("by", "resolved_by"),
            ("notes", "resolution_notes"),
        ]
        for (label, field) in fields {
            guard let text = try reader.optionalString(field) else { continue }
            line(label, text, on: console)
        }
        for (name, value) in reader.optional("headers")?.fields ?? [] {
            line("header", "\(name): \(value.string ?? value.text)", on: console)
        }
        for entry in try reader.optionalArray("history") ?? [] { line("history", try event(entry), on: console) }
        let data = try reader.string("data")
        line("message", String(data.prefix(dataMax)) + (data.count > dataMax ? " …" : ""), on: console)
        if try reader.string("data_encoding") == "base64" {
            console.note("The message is no text; it is shown in base64.")
        }
        if state == "open" {
            let id = try reader.string("id")
            console.note("Next: golden dlq replay \(id) · golden dlq resolve \(id) --notes WHY")
        }
    }

    /// One line of its story: when, what, by whom, and what they said.
    private static func event(_ entry: JSON) throws -> String {
        var reader = try JSONReader(entry)
        let at = try reader.string("at")
        var text = "\(at.prefix(19))\(at.suffix(6)) \(try reader.string("what"))"
        if let by = try reader.optionalString("by") { text += " by \(by)" }
        if let replay = try reader.optionalString("replay_id") { text += " in replay \(replay)" }
        if let id = try reader.optionalString("message_id") { text += ", sent as \(id)" }
        if let notes = try reader.optionalString("notes") { text += ": \(notes)" }
        return text
    }

    private static func line(_ label: String, _ text: String, on console: Console) {
        console.print("  \(label)\(String(repeating: " ", count: max(1, 12 - label.count)))\(Table.printable(text))")
    }
}
