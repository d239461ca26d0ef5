internal import ArgumentParser
internal import Contracts

/// `golden limits`
struct LimitsCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "limits",
        abstract: "Show and set how many requests and tokens may come in a minute, and tasks be at work.",
        discussion: """
            EXAMPLES:
              golden limits show
              golden limits show --json > limits.json      edit it, then:
              golden limits set limits.json
            """,
        subcommands: [LimitsShowCommand.self, LimitsSetCommand.self], defaultSubcommand: LimitsShowCommand.self
    )
}

/// Rows of limits and of who uses them.
enum LimitsTable {
    static let sections = ["roles", "tenants", "routes", "tokens"]

    static func limits(_ answer: JSON) throws -> Table {
        var table = Table("LIMIT OF", "NAME", "UNITS", "PER", "AT ONCE")
        var reader = try JSONReader(answer)
        var limits = try JSONReader(try reader.required("limits"), path: "limits")
        for section in sections {
            for entry in limits.optional(section)?.fields ?? [] where entry.value.kind != .null {
                var rule = try JSONReader(entry.value, path: "\(section).\(entry.name)")
                table.add(
                    .init(section), .init(entry.name, .bold), .init("\(try rule.int("limit"))"),
                    .init(Spans.text(seconds: Double(try rule.int("period_seconds")))),
                    .init("\(try rule.int("burst"))")
                )
            }
        }
        for tenant in limits.optional("concurrency")?.fields ?? [] {
            for label in tenant.value.fields ?? [] {
                table.add(
                    .init("tasks of \(tenant.name)"), .init(label.name, .bold), .init(label.value.text),
                    .init("at work"), .init(label.value.text))
            }
        }
        return table
    }

    static func use(_ uses: [JSON]) throws -> Table {
        var table = Table("USED", "POLICY", "TENANT", "BY", "LEFT", "WHOLE IN")
        for json in uses {
            var use = try JSONReader(json)
            let percent = try use.int("used_percent")
            table.add(
                .init("\(percent) %", percent >= 100 ? .red : percent >= 80 ? .yellow : .green),
                .init(try use.string("policy")), .init(try use.string("tenant")), .init(try use.string("key"), .bold),
                .init("\(try use.int("remaining"))"),
                .init(Spans.text(seconds: Double(try use.int("reset_seconds"))))
            )
        }
        return table
    }
}
