internal import Contracts
internal import FoundationEssentials
internal import Logging
internal import MessageBus
internal import OrchestratorCore
internal import Storage

/// Escalates tasks of which the work, or the result, became a dead letter: runs on the leading replica.
///
/// A letter counts when it holds the lease of the attempt that is running, as the attempt's own messages do: anybody
/// can put another task's name on a message. Each task is escalated for a letter once; what happens to it later, and
/// letters that prove nothing, are left to the attempt's deadline.
struct BuriedMessages: Sendable {
    static let interval: Duration = .seconds(2)
    /// Letters in memory at once, each as large as a message may be.
    static let batchMax = 16
    /// Batches in one look; the next goes on behind them.
    static let batchesMax = 16

    let records: ReconciliationStore
    let changer: TaskChanger
    let logger: Logger

    func run() async throws {
        var last: DeadLetterID?
        while true {
            do { last = try await look(after: last) } catch {
                try Task.checkCancellation()
                logger.warning("could not look for dead letters of tasks", metadata: ["error": "\(error)"])
            }
            try await Task.sleep(for: Self.interval)
        }
    }

    /// Answers the last letter looked at; nil when all were.
    private func look(after last: DeadLetterID?) async throws -> DeadLetterID? {
        var last = last
        for _ in 0..<Self.batchesMax {
            let letters = try await records.buried(after: last, limit: Self.batchMax)
            try await escalate(letters)
            last = letters.last?.id
            if letters.count < Self.batchMax { return nil }
        }
        return last
    }

    private func escalate(_ letters: [BuriedLetter]) async throws {
        var buried: [TaskID: [TaskMachine.BuriedMessage]] = [:]
        for letter in letters {
            let message = Self.read(
                letter.payload, id: "\(letter.id)", subject: letter.subject, reason: letter.reason)
            if let message { buried[letter.task, default: []].append(message) }
        }
        try await escalate(buried)
    }

    /// Escalates tasks of which the work was never published, since no bus of this configuration takes it.
    ///
    /// - Returns: those that have to be tried again, because they are as they were.
    func escalate(unpublished: [(message: OutboxMessage, error: BusError)]) async throws -> Set<TaskID> {
        var buried: [TaskID: [TaskMachine.BuriedMessage]] = [:]
        for (message, error) in unpublished {
            let found = Self.read(
                Array(message.payload.bytes), id: message.messageID, subject: message.subject,
                reason: "it was never published, because the bus takes no such message (\(error.code.rawValue))")
            if let found { buried[message.task, default: []].append(found) }
        }
        return try await escalate(buried)
    }

    @discardableResult
    private func escalate(_ buried: [TaskID: [TaskMachine.BuriedMessage]]) async throws -> Set<TaskID> {
        if buried.isEmpty { return [] }
        // The first that proves something; what others say of the task does not stand in its way.
        let applied = try await changer.apply(to: Array(buried.keys)) { [buried] task in
            (buried[task.id] ?? []).map { .buried($0) }
        }
        if !applied.changes.isEmpty {
            logger.warning("escalated tasks for dead letters", metadata: ["count": "\(applied.changes.count)"])
        }
        return Set(applied.unread.map(\.id)).union(applied.failed.keys)
    }

    /// Nil when the message proves nothing of an attempt.
    private static func read(
        _ payload: [UInt8], id: String, subject: String, reason: String
    ) -> TaskMachine.BuriedMessage? {
        do throws(JSONError) {
            var body = try JSONReader(try JSON(parsing: payload))
            return TaskMachine.BuriedMessage(
                id: id, subject: subject, reason: reason, attempt: try body.int("attempt"),
                leaseToken: try body.string("lease_token")
            )
        } catch {
            return nil
        }
    }
}
