internal import Contracts
internal import FoundationEssentials

/// What a stack that came up was started with, in `settings.json` (0600, for it may hold secrets): a `golden up`
/// without any such option takes it again.
struct StackSettings: Sendable, Equatable {
    let orchestrators: Int
    let slots: Int
    let agents: [StackOptions.Agent]
    let workFolder: String
    /// Nil in settings of builds that had it in `environment.json` alone.
    let environment: [String: String]?
    /// The data folder that the stack was in; nil in settings of builds that did not write it down.
    let home: String?

    init(_ options: StackOptions) {
        orchestrators = options.orchestrators
        slots = options.slots
        agents = options.agents
        workFolder = options.workFolder
        environment = options.environment
        home = realPath(options.folder.path)
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
        if last.hasWorkFolder(for: options) { options.workFolder = last.workFolder }
        if let environment = last.environment {
            options.environment = environment
        } else {
            options.environment = try StackEnvironment.load(from: options.folder) ?? [:]
        }
        return options
    }

    /// Without commands nothing would miss the folder of last time; where the data folder was copied or moved to, it is
    /// another project's.
    private func hasWorkFolder(for options: StackOptions) -> Bool {
        !agents.isEmpty && home == realPath(options.folder.path) && FileManager.default.fileExists(atPath: workFolder)
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
        try StackFolder.write(json.text + "\n", to: folder.settings, isSynced: true)
    }
}

extension StackSettings {
    private var json: JSON {
        JSONWriter.object { writer in
            writer.field("v", 1)
            writer.field("orchestrators", orchestrators)
            writer.field("slots", slots)
            writer.field("work_folder", workFolder)
            writer.field(ifPresent: "environment", environment.map(StackEnvironment.json))
            writer.field(ifPresent: "home", home)
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
        environment = reader.optional("environment").map(StackEnvironment.variables)
        home = try reader.optionalString("home")
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
