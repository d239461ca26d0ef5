internal import Contracts
internal import Postgres

/// Writes tenants' items in batches, none of which waits for what somebody holds locked of another tenant's.
///
/// A batch that waits in vain is written tenant by tenant. Whoever fails still goes through a lane of its own from then
/// on, again and again for a while, and meets only others there who had to wait.
final class TenantWriter<Item: Sendable, Outcome: Sendable>: Sendable {
    private let common: CoalescingWriter<Item, Outcome>
    private let patient: CoalescingWriter<Item, Outcome>
    private let locked: LockedTenants
    private let patience: Duration

    /// - Parameters:
    ///   - minBeside: items that must wait before a batch is written beside another.
    ///   - locked: who was found to be locked, here or elsewhere.
    ///   - patience: how long an item is tried that waits for somebody's lock. It may be done again, since nothing of
    ///     it was kept.
    ///   - tenant: whose an item is; nil for the installation.
    ///   - write: waits for a lock for a short time only, since the whole batch waits with it.
    init(
        name: String, pool: PostgresPool, maxInFlight: Int, minBeside: Int = 1, locked: LockedTenants,
        patience: Duration = .seconds(10), tenant: @escaping @Sendable (Item) -> TenantID?,
        write: @escaping CoalescingWriter<Item, Outcome>.Write
    ) {
        self.locked = locked
        self.patience = patience
        let apart: @Sendable (Item) -> String = { tenant($0)?.text ?? AuditChain.installationText }
        common = CoalescingWriter(
            name: name, pool: pool, maxInFlight: maxInFlight, minBeside: minBeside, apart: apart, write: write)
        patient = CoalescingWriter(name: "\(name)-locked", pool: pool, apart: apart, write: write)
    }

    /// - Parameter tenant: the item's.
    /// - Throws: as a `CoalescingWriter`; what had to wait too long for a lock has been tried for a while.
    func submit(_ item: Item, of tenant: TenantID?) async throws -> Outcome {
        if !locked.contains(tenant) {
            do {
                return try await common.submit(item)
            } catch let error as PostgresError where error.isLockTimeout {
                locked.note(tenant)
            }
        }
        let end = ContinuousClock.now + patience
        while true {
            do {
                return try await patient.submit(item)
            } catch let error as PostgresError where error.isLockTimeout {
                locked.note(tenant)
                if ContinuousClock.now >= end { throw error }
            }
        }
    }

    func shutdown() async {
        await common.shutdown()
        await patient.shutdown()
    }
}
