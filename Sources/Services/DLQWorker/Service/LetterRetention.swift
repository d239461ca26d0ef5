internal import Bootstrap
internal import Contracts
internal import Foundation
internal import Logging
internal import MessageBus
internal import ServiceLifecycle
internal import Storage

/// Takes letters out of the table that were resolved long ago, into files of JSON lines, and keeps the stream of dead
/// letters from filling up with what is filed already.
final class LetterRetention: Service {
    static let interval: Duration = .seconds(60)
    static let batchMax = 500

    private let bus: MessageBus
    private let store: DeadLetterStore
    private let age: Duration
    /// Nil: letters are kept for ever.
    private let folder: String?
    private let logger: Logger

    init(bus: MessageBus, store: DeadLetterStore, age: Duration, folder: String?, logger: Logger) {
        self.bus = bus
        self.store = store
        self.age = age
        self.folder = folder
        self.logger = logger
    }

    func run() async throws {
        try await runUntilShutdown {
            while true {
                do {
                    try await self.bus.trim(behind: BusTopology.deadLetterFiler)
                    try await self.retire()
                } catch {
                    try Task.checkCancellation()
                    self.logger.warning("old dead letters stay for now", metadata: ["error": "\(error)"])
                }
                try await Task.sleep(for: Self.interval, tolerance: .seconds(5))
            }
        }
    }

    private func retire() async throws {
        guard let folder else { return }
        var count = 0
        repeat {
            count = try await store.retire(olderThan: age, limit: Self.batchMax) { letters in
                try Self.archive(letters, in: folder)
            }
            if count > 0 { logger.info("archived dead letters", metadata: ["letters": "\(count)"]) }
        } while count > 0
    }

    /// Appends the letters to the month's file and has the disk keep it, before the rows go. Twice in the file is
    /// better than in neither.
    static func archive(_ letters: [DeadLetterDocument], in folder: String) throws {
        let month = Timestamp.text(Date()).prefix(7)
        let url = URL(filePath: folder).appending(path: "dead-letters-\(month).jsonl")
        let (files, path) = (FileManager.default, url.path(percentEncoded: false))
        if !files.fileExists(atPath: path) {
            try files.createDirectory(at: URL(filePath: folder), withIntermediateDirectories: true)
            guard files.createFile(atPath: path, contents: nil, attributes: [.posixPermissions: 0o600]) else {
                throw CocoaError(.fileWriteUnknown)
            }
        }
        let file = try FileHandle(forWritingTo: url)
        defer { file.closeFile() }
        try file.seekToEnd()
        for letter in letters { try file.write(contentsOf: Data(Array(line(letter).bytes) + [UInt8(ascii: "\n")])) }
        try file.synchronize()
    }

    private static func line(_ document: DeadLetterDocument) -> JSON {
        let letter = document.letter
        return JSONWriter.object { writer in
            writer.field("id", letter.id.description)
            writer.field("original_subject", letter.originalSubject)
            writer.field("data_base64", Data(document.payload).base64EncodedString())
            writer.field("headers", document.headers)
            writer.field("reason", letter.reason)
            writer.field(ifPresent: "error", letter.error)
            writer.field(ifPresent: "tenant", letter.tenant?.text)
            writer.field(ifPresent: "task_id", letter.task?.description)
            writer.field("created_at", Timestamp.text(letter.createdAt))
            writer.field(ifPresent: "resolved_at", letter.resolution.map { Timestamp.text($0.at) })
            writer.field(ifPresent: "resolved_by", letter.resolution?.by)
            writer.field("history", document.history)
        }
    }
}
