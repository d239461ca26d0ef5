package import Contracts
package import FoundationEssentials
internal import Synchronization

/// When keys are made and retired, in seconds.
package struct SigningSchedule: Sendable {
    /// How long a key signs.
    package var signing: TimeInterval = 7 * 86_400
    /// How long before its time the next key is published, so that whoever keeps a copy of the JWKS has it by then.
    package var lead: TimeInterval = 86_400
    /// How long a token may live, and clocks differ: a key is accepted that long after it has signed last.
    package var grace: TimeInterval = 2 * 3600

    package init() {}
}

/// The installation's own signing keys: makes them in time, signs with the current one, publishes and verifies all.
///
/// The keys themselves are shared through a store, which the service glues on; this is one replica's view of it.
package final class SigningKeyring: Sendable {
    /// Reads the keys that are valid at a time.
    package typealias Load = @Sendable (_ now: Date) async throws -> [SigningKeyRecord]
    /// The same, and keeps what the closure makes of them, with all other replicas held off.
    package typealias Change =
        @Sendable (
            _ now: Date, _ decide: @escaping @Sendable ([SigningKeyRecord]) throws -> [SigningKeyRecord]
        ) async throws -> [SigningKeyRecord]

    /// An id that this replica does not know makes it look at the store at most this often, in seconds.
    package static let rereadInterval: TimeInterval = 2
    /// A key made out of turn signs after this long, when every replica has seen it, in seconds.
    package static let spread: TimeInterval = 60

    /// Keys valid at once, beyond which none is made out of turn: every replica opens all of them.
    package static let keysMax = 8

    private struct State {
        var keys: [SigningKey] = []
        /// When the store was looked at for an id that this replica does not know.
        var askedAt = Date.distantPast
        /// Whether the store was ever read: before that nothing can be said of any token.
        var isRead = false
        /// How many lists of keys were asked for.
        var asked = 0
        /// Which of these lists `keys` is.
        var adopted = 0
    }

    private let schedule: SigningSchedule
    private let secrets: [[UInt8]]
    private let load: Load
    private let change: Change
    private let state = Mutex(State())

    /// - Parameter secrets: the first seals new keys, each may open old ones; without any no token is issued.
    package init(
        secrets: [[UInt8]], schedule: SigningSchedule = SigningSchedule(), load: @escaping Load,
        change: @escaping Change
    ) {
        self.secrets = secrets
        self.schedule = schedule
        self.load = load
        self.change = change
    }

    /// Reads the keys, and makes one when none signs now or the current one's time is nearly over.
    package func keepUp(now: Date = Date()) async throws {
        let (schedule, secrets) = (schedule, secrets)
        let found = try await read(now)
        guard try Self.next(after: found, schedule, secrets, now) != nil else { return }
        _ = try await change(now) { records in
            try records + [Self.next(after: records, schedule, secrets, now)].compactMap { $0 }
        }
        _ = try await read(now)
    }

    /// Makes a key out of turn, for when one may have become known. It signs once every replica has seen it. From then
    /// on no other signs, and none is accepted longer than what it signed may live; those that would have signed later
    /// are taken away.
    /// - Parameter immediately: it signs at once, and nothing that another signed is accepted any more.
    /// - Throws: 409 when there are `keysMax` already. Once the change is kept it counts here at once, and nothing is
    ///   thrown because the keys could not be read back: whoever gave the order is to tell the other replicas.
    package func rotate(immediately: Bool = false, now: Date = Date()) async throws {
        let (schedule, secrets) = (schedule, secrets)
        let from = immediately ? now : now + Self.spread
        let changed = try await change(now) { records in
            guard let secret = secrets.first else { return records }
            let others = immediately ? [] : Self.retire(records, at: from, schedule)
            guard others.count < Self.keysMax else {
                throw Problem(.conflict, "There are \(Self.keysMax) valid signing keys already; none was made.")
            }
            return try others + [Self.make(secret, schedule, from: from, now)]
        }
        try await adopt(changed, as: nextNumber())
        do {
            _ = try await read(now)
        } catch {
            // Another replica's change of the same moment may be missing; `keepUp` brings it, or says what is wrong.
            return
        }
    }

    /// Those that signed before `end`, as they are when another signs from then on.
    private static func retire(
        _ records: [SigningKeyRecord], at end: Date, _ schedule: SigningSchedule
    ) -> [SigningKeyRecord] {
        records.filter { $0.signsFrom < end }.map { record in
            SigningKeyRecord(
                id: record.id, publicKey: record.publicKey, privateKeySealed: record.privateKeySealed,
                createdAt: record.createdAt, signsFrom: record.signsFrom, signsUntil: min(record.signsUntil, end),
                validUntil: min(record.validUntil, end + schedule.grace)
            )
        }
    }

    /// The key a token names; looks at the store when this replica does not know it.
    /// - Throws: 503 as long as the store could not be read.
    func verifier(_ id: String, now: Date) async throws -> TokenKeys.Key? {
        if let known = known(id, now) { return known }
        // The time is set first, so that of many requests at once only one reads.
        let isDue = state.withLock { state in
            guard now.timeIntervalSince(state.askedAt) >= Self.rereadInterval else { return false }
            state.askedAt = now
            return true
        }
        guard isDue else {
            guard state.withLock({ $0.isRead }) else {
                throw Problem(
                    .unavailable, "The keys that sign tokens are not read yet; try again.", retryAfterSeconds: 1)
            }
            return nil
        }
        _ = try await read(now)
        return known(id, now)
    }

    /// Whether this replica knows that key, and it counts still.
    func accepts(_ id: String, at now: Date) -> Bool {
        state.withLock { $0.keys.contains { $0.record.id == id && $0.isValid(at: now) } }
    }

    private func known(_ id: String, _ now: Date) -> TokenKeys.Key? {
        state.withLock { $0.keys.first { $0.record.id == id && $0.isValid(at: now) } }?.verifier
    }

    /// The key that signs now: of several the one whose time began last.
    func signer(now: Date) -> SigningKey? {
        state.withLock { $0.keys }.filter { $0.signs(at: now) }.max { $0.record.signsFrom < $1.record.signsFrom }
    }

    /// The public halves of every key that may have signed, signs, or will (RFC 7517, section 5).
    package func publicKeys(now: Date = Date()) -> JSON {
        let keys = state.withLock { $0.keys }.filter { $0.isValid(at: now) }
        return JSONWriter.object { writer in
            writer.field("keys", array: { writer in for key in keys { writer.element(SigningKey.jwk(key.record)) } })
        }
    }

    /// Reads the store and adopts what it says.
    private func read(_ now: Date) async throws -> [SigningKeyRecord] {
        let number = nextNumber()
        let records = try await load(now)
        try await adopt(records, as: number)
        return records
    }

    /// For a list that is about to be read, or that a change has just made.
    private func nextNumber() -> Int {
        state.withLock { state in
            state.asked += 1
            return state.asked
        }
    }

    /// Takes that list, unless a later one is adopted already: what was read before a change must not bring back the
    /// keys that the change took away.
    private func adopt(_ records: [SigningKeyRecord], as number: Int) async throws {
        var keys = state.withLock { $0.keys }
        if keys.map(\.record) != records {
            keys = []
            for record in records { keys.append(try await SigningKey(record, secrets: secrets)) }
        }
        state.withLock { state in
            guard number > state.adopted else { return }
            state.adopted = number
            state.keys = keys
            state.isRead = true
        }
    }

    /// The key to add to these, if it is time. Keys that another secret sealed cannot sign here and do not count.
    private static func next(
        after records: [SigningKeyRecord], _ schedule: SigningSchedule, _ secrets: [[UInt8]], _ now: Date
    ) throws -> SigningKeyRecord? {
        guard let secret = secrets.first else { return nil }
        let usable = records.filter { SigningKey.open($0, secrets) != nil && now < $0.signsUntil }
        guard usable.contains(where: { $0.signsFrom <= now }), let last = usable.map(\.signsUntil).max() else {
            return try make(secret, schedule, from: now, now)
        }
        return last - schedule.lead > now ? nil : try make(secret, schedule, from: last, now)
    }

    private static func make(
        _ secret: [UInt8], _ schedule: SigningSchedule, from: Date, _ now: Date
    ) throws -> SigningKeyRecord {
        // Whole seconds, which the store does not round: read back, a key that signs now must not begin later than now.
        let from = Date(timeIntervalSince1970: from.timeIntervalSince1970.rounded(.down))
        let until = from + schedule.signing
        return try SigningKey.make(
            sealedWith: secret, now: min(now, from), signsFrom: from, signsUntil: until,
            validUntil: until + schedule.grace
        )
    }
}
