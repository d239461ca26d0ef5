internal import FoundationEssentials

/// The logs of a stack, by the names that `golden status` has for its processes.
struct StackLogs: Sendable {
    /// The supervisor's own log.
    static let supervisorName = "stack"

    let folder: StackFolder
    /// Of what runs, in the order in which it was started; of all that ever ran where nothing runs.
    let current: [String]
    /// Those, and of what ran here once.
    let all: [String]

    init(of record: StackRecord, in folder: StackFolder) {
        self.folder = folder
        let stored = Self.stored(in: folder)
        // During an upgrade the next process of a name writes into the same log.
        let running = Self.unique(record.processes.compactMap { Self.name(ofFile: $0.log) })
        current = running.isEmpty ? stored : running + stored.filter { $0 == Self.supervisorName }
        all = Self.unique(current + stored)
    }

    /// - Throws: `usage` for a name that there is not.
    func chosen(_ names: [String]) throws(CLIError) -> [String] {
        if names.isEmpty { return current }
        if let unknown = names.first(where: { !all.contains($0) }) {
            throw CLIError(
                .usage, "The stack in \(folder.path) has no log of \(Table.printable(unknown)).",
                next: all.isEmpty ? nil : "Choose from: \(all.joined(separator: ", "))"
            )
        }
        return Self.unique(names)
    }

    private static func stored(in folder: StackFolder) -> [String] {
        do {
            return try FileManager.default.contentsOfDirectory(atPath: folder.logs).compactMap(name(ofFile:)).sorted()
        } catch {
            return []
        }
    }

    /// Nil for what is no log.
    private static func name(ofFile path: String) -> String? {
        guard path.hasSuffix(".log"), let file = path.split(separator: "/").last else { return nil }
        return String(file.dropLast(4))
    }

    private static func unique(_ names: [String]) -> [String] {
        var seen: Set<String> = []
        return names.filter { seen.insert($0).inserted }
    }
}
