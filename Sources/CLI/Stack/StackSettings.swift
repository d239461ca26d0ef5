internal import Contracts
internal import FoundationEssentials

/// What a stack was started with besides `StackEnvironment`, in `settings.json` (0600, for a command may hold secrets):
/// a `golden up` without any such option takes both again.
struct StackSettings: Sendable, Equatable {
    let orchestrators: Int
    let slots: Int
    let agents: [StackOptions.Agent]
    let workFolder: String

    init(_ options: StackOptions) {
        orchestrators = options.orchestrators
        slots = options.slots
        agents = options.agents
        workFolder = options.workFolder
    }

    /// The options with those of last time in place of what was not given.
    static func recalled(_ options: StackOptions) throws(CLIError) -> StackOptions {
        var options = options
        options.isAsLastTime = false
        // A stack of a build that did not write it down has neither.
        guard let last = try load(from: options.folder) else { return options }
        options.orchestrators = last.orchestrators
        options.slots = last.slots
        options.agents = last.agents
        // Without commands there is nothing that would miss the folder of last time.
        if !last.agents.isEmpty { options.workFolder = last.workFolder }
        options.environment = try StackEnvironment.load(from: options.folder) ?? [:]
        return options
    }

    /// Nil when the folder has none.
    static func load(from folder: StackFolder) throws(CLIError) -> StackSettings? {
        guard FileManager.default.fileExists(atPath: folder.settings) else { return nil }
        do {
            return try StackSettings(json: try JSON(parsing: (readSmallFile(folder.settings) ?? "").utf8))
        } catch {
            throw CLIError(
                .fileUnreadable, "\(folder.settings) cannot be read or is damaged.",
                next: "golden up with its --agent and --env, or with --orchestrators 1, writes it anew.",
                underlying: error
            )
        }
    }

    func save(to folder: StackFolder) throws(CLIError) {
        try StackFolder.write(json.text + "\n", to: folder.settings)
    }
}

extension StackSettings {
    private var json: JSON {
        JSONWriter.object { writer in
            writer.field("v", 1)
            writer.field("orchestrators", orchestrators)
            writer.field("slots", slots)
            writer.field("work_folder", workFolder)
            writer.field(
                "agents",
                array: { writer in
                    for agent in agents {
                        writer.element(object: { writer in
                            writer.field("role", agent.role)
                            writer.field("owner", agent.owner)
                            writer.field("command", agent.command)
                        })
                    }
                })
        }
    }

    private init(json: JSON) throws(JSONError) {
        var reader = try JSONReader(json)
        try reader.requireVersion()
        orchestrators = try reader.int("orchestrators")
        slots = try reader.int("slots")
        workFolder = try reader.string("work_folder")
        var agents: [StackOptions.Agent] = []
        for element in try reader.optionalArray("agents") ?? [] {
            var agent = try JSONReader(element, path: "agents")
            agents.append(
                StackOptions.Agent(
                    role: try agent.string("role"), owner: try agent.string("owner"),
                    command: try agent.string("command")
                )
            )
        }
        self.agents = agents
    }
}

extension StackOptions {
    /// The settings in words, without any value that may be secret; nil when nothing was ever set.
    var settingsInWords: String? {
        var words: [String] = []
        if orchestrators != Self.orchestratorsDefault { words.append("--orchestrators \(orchestrators)") }
        words += agents.map { "--agent \($0.role)" }
        if slots != Self.slotsDefault { words.append("--slots \(slots)") }
        words += environment.keys.sorted().map { "--env \($0)" }
        return words.isEmpty ? nil : words.joined(separator: ", ")
    }
}
