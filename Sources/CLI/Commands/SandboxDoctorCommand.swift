internal import ArgumentParser
internal import Contracts

/// `golden sandbox doctor`
struct SandboxDoctorCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "doctor", abstract: "Try every layer of the sandbox on this host and say what it lacks.",
        discussion: """
            Runs real programs that try to get out, as the executor does when it starts. Ends with 0 when programs
            can be run here and 1 otherwise.

            EXAMPLES:
              golden sandbox doctor
              GOLDEN_SANDBOX_TIER=restricted GOLDEN_SANDBOX_MIN_TIER=restricted golden sandbox doctor
            """
    )

    /// What would mend a host, by what its reasons mention.
    private static let advice: [(mark: String, words: String)] = [
        ("control group", "Run it as root, or let systemd delegate a group: Delegate=yes."),
        ("clone", "Allow user namespaces: sysctl kernel.unprivileged_userns_clone=1, or run it as root."),
        ("namespaces:", "Or choose the tier below on purpose: GOLDEN_SANDBOX_MIN_TIER=restricted."),
        ("sandbox-launcher", "Build it: swift build -c release --product sandbox-launcher"),
    ]

    @OptionGroup var output: OutputOptions

    func run() async throws {
        let environment = Caller.environment
        let console = Console(environment: environment)
        var settings = environment.filter { $0.key.hasPrefix("GOLDEN_SANDBOX_") }
        for path in StackPlan.inheritedPaths { settings[path] = settings[path].map(Sibling.absolute) }
        settings["PATH"] = Programs.systemFolders.joined(separator: ":")
        let program = try Sibling.path(StackPlan.sandboxName, environment: environment)
        let outcome = await Tool.run([program, "check"], environment: settings)
        let json: JSON
        do {
            json = try JSON(parsing: outcome.output.utf8)
        } catch {
            throw CLIError(.processFailed, "sandbox-executor check ended with \(outcome.ending):\n\(outcome.output)")
        }
        if output.isJSON { console.print(json.text) } else { try Self.show(json, on: console) }
        if !outcome.isSuccess { throw ExitStatus.other }
    }

    private static func show(_ json: JSON, on console: Console) throws {
        var report = try JSONReader(json)
        if let layers = report.optional("layers")?.fields {
            var table = Table("LAYER", "FOUND")
            for layer in layers {
                let found = layer.value.string ?? ""
                let style: Console.Style = found == "holds" ? .green : found.hasPrefix("not ") ? .dim : .red
                table.add(.init(layer.name, .bold), .init(found, style))
            }
            console.print(table)
        }
        let languages = try report.optionalStrings("languages") ?? []
        if !languages.isEmpty { console.print("Languages: \(languages.joined(separator: ", "))") }
        for language in report.optional("unavailable")?.fields ?? [] {
            console.print("Without \(language.name): \(language.value.string ?? "")")
        }
        let reasons = try report.optionalStrings("reasons") ?? []
        if reasons.isEmpty {
            let tier = try report.optionalString("tier") ?? "unknown"
            return console.print(console.styled("Programs can be run here", .green) + ", contained by: \(tier)")
        }
        console.print(console.styled("No program can be run here:", .red))
        for reason in reasons { console.print("  \(Table.printable(reason))") }
        for (mark, words) in advice where reasons.contains(where: { $0.contains(mark) }) {
            console.note("Next: \(words)")
        }
    }
}
