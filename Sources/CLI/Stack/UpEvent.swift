internal import Contracts

/// What the supervisor tells whoever started it; one JSON line each when that is `golden up --detach`.
enum UpEvent: Sendable {
    /// The supervisor itself, before it does anything.
    case supervisor(ProcessIdentity)
    case step(String)
    /// What stays on the screen.
    case note(String)
    /// The first admin was made; the password is shown this once and written nowhere.
    case firstAdmin(user: String, password: String)
    /// A process is ready.
    case running(String)
    case ready(StackRecord)
    case failed(CLIError)
    case stopping(String)
    case stopped

    var json: JSON {
        JSONWriter.object { writer in
            switch self {
            case .supervisor(let process): writer.field("supervisor", object: process.write)
            case .step(let words): writer.field("step", words)
            case .note(let words): writer.field("note", words)
            case .firstAdmin(let user, let password):
                writer.field("first_admin", user)
                writer.field("password", password)
            case .running(let name): writer.field("running", name)
            case .ready(let record): writer.field("ready", record.json)
            case .failed(let error):
                writer.field("failed", error.message)
                writer.field("code", error.code.rawValue)
                writer.field(ifPresent: "cause", error.cause)
                writer.field(ifPresent: "kept", error.kept)
                writer.field(ifPresent: "next", error.next)
            case .stopping(let name): writer.field("stopping", name)
            case .stopped: writer.field("stopped", true)
            }
        }
    }

    /// Reads what `orchestrator accounts init --json` answers; nil when there were users already.
    init?(accounts output: String) {
        do {
            var reader = try JSONReader(try JSON(parsing: output.utf8))
            guard let user = try reader.optionalString("user") else { return nil }
            self = .firstAdmin(user: user, password: try reader.string("password"))
        } catch {
            return nil
        }
    }

    init?(line: some StringProtocol) {
        do {
            var reader = try JSONReader(try JSON(parsing: line.utf8))
            if let process = reader.optional("supervisor") {
                self = .supervisor(try ProcessIdentity(json: process))
            } else if let words = try reader.optionalString("step") {
                self = .step(words)
            } else if let words = try reader.optionalString("note") {
                self = .note(words)
            } else if let user = try reader.optionalString("first_admin") {
                self = .firstAdmin(user: user, password: try reader.string("password"))
            } else if let name = try reader.optionalString("running") {
                self = .running(name)
            } else if let record = reader.optional("ready") {
                self = .ready(try StackRecord(json: record))
            } else if let message = try reader.optionalString("failed") {
                let cause = try reader.optionalString("cause").map { "\nCause: \($0)" } ?? ""
                self = .failed(
                    CLIError(
                        try reader.word("code"), message + cause, kept: try reader.optionalString("kept"),
                        next: try reader.optionalString("next")
                    )
                )
            } else if let name = try reader.optionalString("stopping") {
                self = .stopping(name)
            } else if reader.optional("stopped") != nil {
                self = .stopped
            } else {
                return nil
            }
        } catch {
            return nil
        }
    }
}
