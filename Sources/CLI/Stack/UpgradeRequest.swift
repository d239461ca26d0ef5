internal import Contracts
internal import FoundationEssentials

/// What `golden upgrade` asks of the supervisor: a file that it finds, takes away and carries out.
struct UpgradeRequest: Sendable, Equatable {
    /// Tells one request's answers from another's.
    let id: String
    /// The folder of the next build's programs.
    let programs: String
    /// The folder of its migrations.
    let migrations: String

    func save(to folder: StackFolder) throws(CLIError) {
        let json = JSONWriter.object { writer in
            writer.field("v", 1)
            writer.field("id", id)
            writer.field("programs", programs)
            writer.field("migrations", migrations)
        }
        try StackFolder.write(json.text + "\n", to: folder.upgradeRequest)
    }

    /// The request in the folder, which is there no more then; nil when there is none.
    static func take(from folder: StackFolder) throws(CLIError) -> UpgradeRequest? {
        guard FileManager.default.fileExists(atPath: folder.upgradeRequest) else { return nil }
        let text = readSmallFile(folder.upgradeRequest)
        try StackFolder.remove(folder.upgradeRequest)
        do {
            var reader = try JSONReader(try JSON(parsing: (text ?? "").utf8))
            try reader.requireVersion()
            return UpgradeRequest(
                id: try reader.string("id"), programs: try reader.string("programs"),
                migrations: try reader.string("migrations")
            )
        } catch {
            throw CLIError(.fileUnreadable, "\(folder.upgradeRequest) was no request to upgrade.", underlying: error)
        }
    }
}

/// How an upgrade goes, for the command that asked for it: one JSON line a step, the request's id first.
struct UpgradeReport: Sendable {
    private let path: String

    /// Begins anew.
    init(_ request: UpgradeRequest, in folder: StackFolder) throws(CLIError) {
        path = folder.upgradeReport
        try StackFolder.write(Self.head(request.id) + "\n", to: path)
    }

    static func head(_ id: String) -> String { JSONWriter.object { $0.field("upgrade", id) }.text }

    func tell(_ event: UpEvent) {
        FileHandles.append(event.json.text + "\n", to: path)
    }

    /// The events that came after the first `count` of this request's; nil when the report is not this request's yet.
    static func events(of request: UpgradeRequest, in folder: StackFolder, after count: Int) -> [UpEvent]? {
        guard let text = readSmallFile(folder.upgradeReport) else { return nil }
        // A line is whole once its line break is there.
        let lines = text.split(separator: "\n", omittingEmptySubsequences: false).dropLast()
        guard lines.first.map(String.init) == head(request.id) else { return nil }
        return lines.dropFirst(1 + count).compactMap { UpEvent(line: $0) }
    }
}
