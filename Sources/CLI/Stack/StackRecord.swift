internal import Contracts
internal import FoundationEssentials

/// `stack.json`: what runs, where, and since when. Written by the supervisor alone, read by every other command.
struct StackRecord: Sendable, Equatable {
    enum State: String, Sendable {
        case starting, ready, stopping, stopped, failed
    }

    struct Ports: Sendable, Equatable {
        /// The first orchestrator's; the others follow it.
        var api: Int
        var nats: Int
        var redis: Int
        var postgres: Int
        /// The sandbox executor's health; nil in records of builds without one.
        var sandbox: Int?
        /// Nil without `--observability`.
        var observability: Observability.Ports?
        /// The first of a clustered stack's ports; nil for one server of each kind.
        var cluster: Int?
    }

    struct Process: Sendable, Equatable {
        enum State: String, Sendable {
            case starting, ready, restarting
            /// It ended at least `ProcessKeeper.crashesMax` times within a minute; it is still tried every ten seconds.
            case crashLooping = "crash_looping"
            case stopping, stopped
        }

        var name: String
        var identity: ProcessIdentity?
        var state: State
        var address: String?
        var restarts: Int
        /// How it last ended, in words.
        var lastExit: String?
        let log: String
    }

    /// Tells this stack's data from any other's that once lay at the same path.
    let id: String
    /// The folder that the rest is about; nil in records of builds that did not write it down.
    var home: FolderIdentity?
    var state: State
    /// What the supervisor does at the moment, or why it failed.
    var note: String
    var supervisor: ProcessIdentity?
    var ports: Ports
    /// Where the database's files are: in the data folder, or under /var/lib/golden when its account cannot reach that.
    var postgresFolder: String
    /// In the order they were started.
    var processes: [Process]

    var apiURL: String { "http://127.0.0.1:\(ports.api)" }

    func stopped() -> StackRecord {
        var record = self
        record.state = .stopped
        record.note = ""
        record.supervisor = nil
        record.processes = []
        return record
    }

    /// False in a copy of the folder that the record is about: nothing it says of processes and ports is of the copy.
    func isOf(_ folder: StackFolder) -> Bool {
        guard let home, let here = FolderIdentity(of: folder.path) else { return true }
        return home.isSame(as: here)
    }
}

extension StackRecord {
    var json: JSON {
        JSONWriter.object { writer in
            writer.field("v", 1)
            writer.field("id", id)
            if let home { writer.field("home", object: home.write) }
            writer.field("state", state.rawValue)
            writer.field("note", note)
            if let supervisor { writer.field("supervisor", object: supervisor.write) }
            writer.field(
                "ports",
                object: { writer in
                    writer.field("api", ports.api)
                    writer.field("nats", ports.nats)
                    writer.field("redis", ports.redis)
                    writer.field("postgres", ports.postgres)
                    writer.field(ifPresent: "sandbox", ports.sandbox)
                    writer.field(ifPresent: "observability", ports.observability?.json)
                    writer.field(ifPresent: "cluster", ports.cluster)
                })
            writer.field("postgres_folder", postgresFolder)
            writer.field(
                "processes",
                array: { writer in
                    for process in processes { writer.element(object: process.write) }
                })
        }
    }

    init(json: JSON) throws(JSONError) {
        var reader = try JSONReader(json)
        try reader.requireVersion()
        id = try reader.string("id")
        home = try reader.optional("home").map { json throws(JSONError) in try FolderIdentity(json: json) }
        state = try reader.word("state")
        note = try reader.string("note")
        supervisor = try reader.optional("supervisor").map { json throws(JSONError) in try ProcessIdentity(json: json) }
        var ports = try JSONReader(try reader.required("ports"), path: "ports")
        self.ports = Ports(
            api: try ports.int("api"), nats: try ports.int("nats"), redis: try ports.int("redis"),
            postgres: try ports.int("postgres"), sandbox: try ports.optionalInt("sandbox"),
            observability: try ports.optional("observability").map { json throws(JSONError) in
                try Observability.Ports(json: json)
            },
            cluster: try ports.optionalInt("cluster")
        )
        postgresFolder = try reader.string("postgres_folder")
        var processes: [Process] = []
        for element in try reader.optionalArray("processes") ?? [] { processes.append(try Process(json: element)) }
        self.processes = processes
    }

    /// The record in the folder; nil when no stack was ever started there. In a copied folder nothing runs.
    static func load(from folder: StackFolder) throws(CLIError) -> StackRecord? {
        guard folder.exists else { return nil }
        guard let text = readSmallFile(folder.record) else {
            throw CLIError(
                .fileUnreadable, "\(folder.record) cannot be read.",
                next: "Run golden as the account that started the stack."
            )
        }
        do {
            let record = try StackRecord(json: try JSON(parsing: text.utf8))
            return record.isOf(folder) ? record : record.stopped()
        } catch {
            throw CLIError(
                .fileUnreadable, "\(folder.record) is damaged.", next: "Remove the file and run golden up again.",
                underlying: error
            )
        }
    }

    /// The record in the folder.
    /// - Throws: when no stack was ever started there.
    static func require(in folder: StackFolder) throws(CLIError) -> StackRecord {
        if let record = try load(from: folder) { return record }
        throw CLIError(
            .stackNotRunning, "No stack was ever started in \(folder.path).",
            next: "golden up --detach\(folder.option)   Or name the folder: --data DIR"
        )
    }

    /// The record of the stack that runs in the folder.
    /// - Parameters:
    ///   - missing: what is not there either, as the end of a sentence.
    ///   - instead: how to give that.
    /// - Throws: when none runs there.
    static func require(
        runningIn folder: StackFolder, missing: String = "", instead: String = ""
    ) throws(CLIError) -> StackRecord {
        if let record = try load(from: folder), record.supervisor?.isRunning == true { return record }
        throw CLIError(
            .stackNotRunning, "No stack runs in \(folder.path)\(missing).",
            next: "golden up --detach\(folder.option)\(instead)"
        )
    }

    /// - Parameter isSynced: on disk when this returns, whatever becomes of the machine.
    func save(to folder: StackFolder, isSynced: Bool = true) throws(CLIError) {
        try StackFolder.write(json.text + "\n", to: folder.record, isSynced: isSynced)
    }
}

extension StackRecord.Process {
    /// During an upgrade: the process of the next build, until it has the name itself.
    static func following(_ name: String) -> String { "\(name) (next)" }

    /// During an upgrade: the process of the build before, once it has it no more.
    static func retired(_ name: String) -> String { "\(name) (before)" }

    func write(to writer: inout JSONWriter) {
        writer.field("name", name)
        if let identity { identity.write(to: &writer) }
        writer.field("state", state.rawValue)
        writer.field(ifPresent: "address", address)
        writer.field("restarts", restarts)
        writer.field(ifPresent: "last_exit", lastExit)
        writer.field("log", log)
    }

    init(json: JSON) throws(JSONError) {
        var reader = try JSONReader(json)
        name = try reader.string("name")
        identity = reader.optional("pid") == nil ? nil : try ProcessIdentity(json: json)
        state = try reader.word("state")
        address = try reader.optionalString("address")
        restarts = try reader.int("restarts")
        lastExit = try reader.optionalString("last_exit")
        log = try reader.string("log")
    }
}

extension JSONReader {
    /// One of an enumeration's words.
    mutating func word<Word: RawRepresentable<String>>(_ field: String) throws(JSONError) -> Word {
        let text = try string(field)
        guard let word = Word(rawValue: text) else {
            throw error(field, "is \"\(text)\", which this build does not know")
        }
        return word
    }
}
