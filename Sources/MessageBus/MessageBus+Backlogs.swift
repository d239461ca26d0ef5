internal import Contracts

/// What one durable consumer had to do when JetStream was asked.
package struct NamedBacklog: Sendable, Equatable {
    package let consumer: String
    /// Not handed out yet.
    package let pending: Int
    /// Handed out and not acknowledged.
    package let ackPending: Int
    /// Deliveries since the consumer was made: while messages wait and this stands still, nobody takes them.
    package let delivered: Int
    /// Requests for more that wait at the server: somebody takes from the consumer, and has nothing to do.
    package let waiting: Int

    package var isTaken: Bool { waiting > 0 || ackPending > 0 }
}

extension MessageBus {
    /// Consumers looked at in one stream; there are some ten of ours and one for each role.
    package static let backlogsMax = 1024

    /// The backlog of every consumer of a stream, whoever made it; empty when the stream does not exist.
    package func backlogs(of stream: BusTopology.StreamName) async throws(BusError) -> [NamedBacklog] {
        var found: [NamedBacklog] = []
        while found.count < Self.backlogsMax, let page = try await admin.consumers(of: stream, from: found.count) {
            do throws(JSONError) {
                var reader = try JSONReader(page)
                let total = try reader.int("total")
                let listed = try reader.optionalArray("consumers") ?? []
                for json in listed { found.append(try NamedBacklog(json)) }
                if listed.isEmpty || found.count >= total { break }
            } catch {
                throw BusError(
                    .refused, "JetStream listed the consumers of \(stream.rawValue) unreadably.", underlying: error)
            }
        }
        return found
    }

    /// The names of those consumers of the services that nobody takes from, or that are not there.
    package func untaken() async throws(BusError) -> [String] {
        var taken: Set<String> = []
        for stream in Set(BusTopology.consumers.map(\.stream)) {
            taken.formUnion(try await backlogs(of: stream).filter(\.isTaken).map(\.consumer))
        }
        return BusTopology.consumers.map(\.name).filter { !taken.contains($0) }
    }
}

extension NamedBacklog {
    init(_ json: JSON) throws(JSONError) {
        var reader = try JSONReader(json)
        consumer = try reader.string("name")
        pending = try reader.int("num_pending")
        ackPending = try reader.int("num_ack_pending")
        guard var last = try reader.optionalObject("delivered") else { throw reader.error("delivered", "is required") }
        delivered = try last.int("consumer_seq")
        waiting = try reader.optionalInt("num_waiting") ?? 0
    }
}
