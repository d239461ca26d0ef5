internal import ArgumentParser
internal import Contracts

/// `golden escalations`
struct EscalationsCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "escalations",
        abstract: "See what could not go on by itself, and say what becomes of it.",
        discussion: """
            EXAMPLES:
              golden escalations list
              golden escalations show 0198c5a2-…
              golden escalations resolve 0198c5a2-… retry --plan '{"note": "the file is in src/"}'
            """,
        subcommands: [EscalationsListCommand.self, EscalationsShowCommand.self, EscalationsResolveCommand.self],
        defaultSubcommand: EscalationsListCommand.self
    )
}

/// An escalation's id on the command line.
struct EscalationArgument: ExpressibleByArgument, Sendable {
    let id: EscalationID

    init?(argument: String) {
        guard let id = EscalationID(argument) else { return nil }
        self.id = id
    }
}

/// Prints one escalation.
enum EscalationPrinter {
    static func print(_ escalation: JSON, on console: Console) throws {
        var reader = try JSONReader(escalation)
        let state = try reader.string("state")
        console.print("\(console.styled(try reader.string("id"), .bold))  \(Table.printable(state))")
        let fields = [
            ("task", "task_id"), ("from", "source"), ("because", "reason"), ("guard", "guard"), ("role", "role"),
            ("review", "session_id"),
            ("kind", "classification"), ("severity", "severity"), ("since", "created_at"),
            (state == "resolved" ? "waited" : "waits", "waits_because"), ("rule", "rule"), ("analyst", "analyst"),
            ("resolution", "resolution"), ("by", "resolved_by"),
            ("notes", "notes"),
        ]
        for (label, field) in fields {
            guard let text = try reader.optionalString(field) else { continue }
            console.print("  \(label)\(String(repeating: " ", count: 12 - label.count))\(Table.printable(text))")
        }
        for (label, field) in [("decided", "decision"), ("analysis", "analysis"), ("plan", "plan")] {
            guard let json = reader.optional(field) else { continue }
            console.print("  \(label)\(String(repeating: " ", count: 12 - label.count))\(Table.printable(json.text))")
        }
        if state != "resolved" { console.note("Next: golden escalations resolve \(try reader.string("id")) retry") }
    }

    static func severity(_ text: String) -> Table.Cell {
        switch Severity(rawValue: text) {
        case .critical: .init(text, .red)
        case .warning: .init(text, .yellow)
        case .info, nil: .init(text)
        }
    }
}
