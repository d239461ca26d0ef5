package import Contracts

/// Who waits for the sandbox, and whose turn it is: the tenant with the fewest runs under way, and of those the one
/// that was served longest ago. Within a tenant, first come, first served.
package struct FairQueue: Sendable {
    package struct Ticket: Sendable, Hashable {
        package let execution: ExecutionID
        package let tenant: TenantID

        package init(_ execution: ExecutionID, _ tenant: TenantID) {
            self.execution = execution
            self.tenant = tenant
        }
    }

    private struct Line: Sendable {
        var tickets: [Ticket] = []
        /// When it was last served; lower is longer ago.
        var turn = 0
    }

    /// Tickets that are remembered; what is beyond waits in the database.
    package let max: Int
    private var lines: [TenantID: Line] = [:]
    private var known: Set<ExecutionID> = []
    private var turns = 0

    package init(max: Int) {
        self.max = max
    }

    package var count: Int { known.count }

    /// By tenant, of those that have any.
    package var depths: [TenantID: Int] { lines.mapValues(\.tickets.count).filter { $0.value > 0 } }

    /// False when it waits already, or there is no room.
    @discardableResult
    package mutating func add(_ ticket: Ticket) -> Bool {
        guard known.count < max, known.insert(ticket.execution).inserted else { return false }
        // A tenant that comes new is served before those that were, but no sooner than others that came new before it.
        lines[ticket.tenant, default: Line()].tickets.append(ticket)
        return true
    }

    /// Lets these wait in their order. Whoever waits already and is not among them comes behind, while there is room;
    /// whose turn it is stays as it is.
    package mutating func replace(with tickets: [Ticket]) {
        let others = lines.values.flatMap(\.tickets)
        known = []
        lines = lines.mapValues { Line(turn: $0.turn) }
        for ticket in tickets + others { add(ticket) }
        forgetIdle()
    }

    package mutating func remove(_ execution: ExecutionID) {
        guard known.remove(execution) != nil else { return }
        for (tenant, line) in lines where line.tickets.contains(where: { $0.execution == execution }) {
            lines[tenant]?.tickets.removeAll { $0.execution == execution }
        }
    }

    /// Takes the next ticket; nil when nobody waits.
    ///
    /// - Parameter running: runs under way, by tenant.
    package mutating func next(running: [TenantID: Int]) -> Ticket? {
        let waiting = lines.filter { !$0.value.tickets.isEmpty }
        let chosen = waiting.min { left, right in
            let keys = [left, right].map { (running[$0.key] ?? 0, $0.value.turn) }
            return keys[0] == keys[1] ? left.key < right.key : keys[0] < keys[1]
        }
        guard let tenant = chosen?.key, var line = lines[tenant] else { return nil }
        let ticket = line.tickets.removeFirst()
        known.remove(ticket.execution)
        turns += 1
        line.turn = turns
        lines[tenant] = line
        forgetIdle()
        return ticket
    }

    /// Tenants that have nothing waiting are forgotten once they are many: they would be served next anyway.
    private mutating func forgetIdle() {
        guard lines.count > 2 * max else { return }
        lines = lines.filter { !$0.value.tickets.isEmpty }
    }
}
