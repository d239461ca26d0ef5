internal import Contracts

/// What the supervisor tells whoever started it; one JSON line each when that is `golden up --detach`.
enum UpEvent: Sendable {
    case step(String)
    /// A process is ready.
    case running(String)
    case ready(StackRecord)
    case failed(CLIError)
    case stopping(String)
    case stopped

    var json: JSON {
        JSONWriter.object { writer in
            switch self {
            case .step(let words): writer.field("step", words)
            case .running(let name): writer.field("running", name)
            case .ready(let record): writer.field("ready", record.json)
            case .failed(let error):
                writer.field("failed", error.message)
                writer.field("code", error.code.rawValue)
                writer.field(ifPresent: "cause", error.underlying.map { "\($0)" })
                writer.field(ifPresent: "kept", error.kept)
                writer.field(ifPresent: "next", error.next)
            case .stopping(let name): writer.field("stopping", name)
            case .stopped: writer.field("stopped", true)
            }
        }
    }

    init?(line: some StringProtocol) {
        do {
            var reader = try JSONReader(try JSON(parsing: line.utf8))
            if let words = try reader.optionalString("step") {
                self = .step(words)
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
