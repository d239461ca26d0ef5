internal import Contracts
internal import Postgres

/// Writes tenants' items in batches, none of which waits for what somebody holds locked of another tenant's.
///
/// A batch that waits in vain is written tenant by tenant. Whoever fails still goes through a lane of its own from then
/// on, again and again for a while, and meets only others there who had to wait.
final class TenantWriter<Item: Sendable, Outcome: Sendable>: Sendable {
    /// How long an item is tried that waits for somebody's lock. It may be done again, since nothing of it was kept.
    private static var patience: Duration { .seconds(10) }

    private let common: CoalescingWriter<Item, Outcome>
    private let patient: CoalescingWriter<Item, Outcome>
    private let locked: LockedTenants

    /// - Parameters:
    ///   - locked: who was found to be locked, here or elsewhere.
    ///   - minBeside: items that must wait before a batch is written beside another.
    init(
        name: String, pool: PostgresPool, maxInFlight: Int, minBeside: Int = 1, locked: LockedTenants,
        tenant: @escaping @Sendable (Item) -> TenantID, write: @escaping CoalescingWriter<Item, Outcome>.Write
    ) {
        self.locked = locked
        common = CoalescingWriter(
            name: name, pool: pool, maxInFlight: maxInFlight, minBeside: minBeside, apart: { tenant($0).text },
            write: write)
        patient = CoalescingWriter(name: "\(name)-locked", pool: pool, apart: { tenant($0).text }, write: write)
    }

    /// - Parameter tenant: the item's.
    /// - Throws: as a `CoalescingWriter`; what had to wait too long for a lock has been tried for a while.
    func submit(_ item: Item, of tenant: TenantID) async throws -> Outcome {
        if !locked.contains(tenant) {
            do {
                return try await common.submit(item)
            } catch let error as PostgresError where error.isLockTimeout {
                locked.note(tenant)
            }
        }
        let end = ContinuousClock.now + Self.patience
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
