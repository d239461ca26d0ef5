package import Contracts
package import FoundationEssentials

/// What WORK holds, whether anybody takes it or not: only agents make the consumers of their roles.
extension MessageBus {
    /// Work is left where it is for so long after its deadline: clocks differ.
    package static let overdueGrace: TimeInterval = 60

    /// How many messages WORK holds for each role; empty when the stream does not exist.
    package func workHeld() async throws(BusError) -> [AgentRole: Int] {
        guard let info = try await admin.subjects(of: .work) else { return [:] }
        do throws(JSONError) {
            var reader = try JSONReader(info)
            guard var state = try reader.optionalObject("state") else { throw reader.error("state", "is required") }
            var held: [AgentRole: Int] = [:]
            for (subject, count) in state.optional("subjects")?.fields ?? [] {
                if let role = Subject.role(ofWork: subject) { held[role] = count.int ?? 0 }
            }
            return held
        } catch {
            throw BusError(.refused, "JetStream listed the subjects of WORK unreadably.", underlying: error)
        }
    }

    /// Removes work whose deadline has passed: of each role the oldest, up to the first that may still be done. Nobody
    /// else removes what no agent takes, and a full WORK refuses everybody's.
    ///
    /// - Returns: how many were removed, at most `limit`.
    package func dropOverdueWork(now: Date, limit: Int) async throws(BusError) -> Int {
        let latest = now.addingTimeInterval(-Self.overdueGrace)
        var dropped = 0
        for role in try await workHeld().keys.sorted() {
            var next: UInt64 = 1
            while dropped < limit, let oldest = try await oldestWork(role, from: next), oldest.deadline < latest {
                try await admin.delete(oldest.sequence, from: .work)
                dropped += 1
                next = oldest.sequence + 1
            }
        }
        return dropped
    }

    /// Nil when there is none, and for one that cannot be read: agents make a dead letter of it, or its age ends it.
    private func oldestWork(
        _ role: AgentRole, from sequence: UInt64
    ) async throws(BusError) -> (sequence: UInt64, deadline: Date)? {
        guard let answer = try await admin.oldest(of: Subject.work(role).text, in: .work, from: sequence) else {
            return nil
        }
        do throws(JSONError) {
            var reader = try JSONReader(answer)
            guard var message = try reader.optionalObject("message"),
                let data = Data(base64Encoded: try message.string("data"))
            else { return nil }
            let item = try WorkItem(payload: Array(data))
            return (UInt64(clamping: try message.int("seq")), item.deadline)
        } catch {
            return nil
        }
    }
}
