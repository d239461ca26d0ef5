internal import Contracts
internal import Storage

/// Whose turn it is in one pass, and how many slots each may have: tenants share alike, however many targets they have.
struct DeliveryTurns: Sendable {
    /// What has something to do. Each tenant's first target comes before any tenant's second; the rest is left to
    /// chance, so that nobody is served late for a name.
    let order: [TargetBacklog]
    /// How many targets of each tenant have something due.
    private let due: [TenantID: Int]

    init(_ backlog: [TargetBacklog]) {
        var rounds: [TenantID: Int] = [:]
        var ranked: [(round: Int, waiting: TargetBacklog)] = []
        for waiting in backlog.shuffled() where waiting.due > 0 || waiting.hasParked {
            let round = rounds[waiting.target.tenant, default: 0]
            rounds[waiting.target.tenant] = round + 1
            ranked.append((round, waiting))
        }
        order = ranked.sorted { $0.round < $1.round }.map { $0.waiting }
        let tenants = backlog.filter { $0.due > 0 }.map { ($0.target.tenant, 1) }
        due = Dictionary(tenants, uniquingKeysWith: +)
    }

    /// A target's share of the slots that are free; at least one, which `DeliverySlots` may refuse.
    func share(of free: Int, for target: DeliveryTarget) -> Int {
        max(1, free / max(1, due.count) / max(1, due[target.tenant] ?? 1))
    }
}
