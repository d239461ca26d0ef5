package import Contracts
package import FoundationEssentials

/// Whose chain an entry belongs to.
package enum AuditChain: Sendable, Hashable, CustomStringConvertible {
    case tenant(TenantID)
    /// What belongs to no tenant: callers that nobody knows, and the installation's own upkeep.
    case installation

    /// How `installation` is stored; no tenant's name can be this.
    static let installationText = "-"

    /// What `audit_log.tenant_id` holds.
    package var text: String {
        switch self {
        case .tenant(let tenant): tenant.text
        case .installation: Self.installationText
        }
    }

    /// Nil for the installation's.
    var tenant: TenantID? {
        switch self {
        case .tenant(let tenant): tenant
        case .installation: nil
        }
    }

    package var description: String { text }
}

/// One thing that somebody did or was kept from doing.
package struct AuditEntry: Sendable, Equatable {
    package enum Outcome: String, Sendable, CaseIterable {
        case allowed
        /// Refused to this caller: no token, no permission, over a limit, wrong password.
        case denied
        /// Allowed, and did not succeed.
        case failed
    }

    /// The longest actor, resource or reason kept, in bytes; what is longer is cut.
    package static let textBytesMax = 1024
    /// The largest detail kept, in bytes; a larger one is replaced by its size.
    package static let detailBytesMax = 16 * 1024

    package let chain: AuditChain
    /// Kept to the microsecond.
    package let at: Date
    package let actor: String
    package let actorRole: String
    /// What was tried: an operation's id, such as `cancelTask`.
    package let action: String
    /// What it was tried on: `POST /tasks/0198…/cancel`.
    package let resource: String
    package let outcome: Outcome
    package let reason: String?
    package let traceID: String?
    /// An object. Never holds a secret.
    package let detail: JSON

    package init(
        chain: AuditChain, at: Date, actor: String, actorRole: String, action: String, resource: String,
        outcome: Outcome, reason: String? = nil, traceID: String? = nil, detail: JSON = .emptyObject
    ) {
        self.chain = chain
        self.at = at
        self.actor = Self.bounded(actor)
        self.actorRole = Self.bounded(actorRole)
        self.action = Self.bounded(action)
        self.resource = Self.bounded(resource)
        self.outcome = outcome
        self.reason = reason.map(Self.bounded)
        self.traceID = traceID.map(Self.bounded)
        self.detail = Self.bounded(detail)
    }

    /// An entry must never be lost because of what a caller wrote into it: no text column takes NUL.
    private static func bounded(_ text: String) -> String {
        let text = text.utf8.contains(0) ? text.replacing("\0", with: "\u{FFFD}") : text
        // Cut by bytes, where one may split a character: its rest is then shown as U+FFFD.
        return text.utf8.count > textBytesMax ? String(decoding: text.utf8.prefix(textBytesMax), as: UTF8.self) : text
    }

    private static func bounded(_ detail: JSON) -> JSON {
        guard detail.bytes.count > detailBytesMax else { return detail }
        return JSONWriter.object { $0.field("omitted_bytes", detail.bytes.count) }
    }
}

/// Where an entry came to stand.
package struct AuditReceipt: Sendable, Equatable {
    /// Counts from 1 in each chain, without gaps.
    package let sequence: Int
    /// SHA-256 over the entry and the hash before it.
    package let hash: [UInt8]
}

/// A row as it is stored: every column raw, so that verifying sees exactly what is there.
package struct AuditRow: Sendable, Equatable {
    package let tenant: String
    package let sequence: Int
    /// Since 1970; nil when the column holds no finite time.
    package let atMicroseconds: Int?
    package let actor: String
    package let actorRole: String
    package let action: String
    package let resource: String
    package let outcome: String
    package let reason: String?
    package let traceID: String?
    package let detail: [UInt8]
    package let previousHash: [UInt8]
    package private(set) var hash: [UInt8]

    init(
        tenant: String, sequence: Int, atMicroseconds: Int?, actor: String, actorRole: String, action: String,
        resource: String, outcome: String, reason: String?, traceID: String?, detail: [UInt8], previousHash: [UInt8],
        hash: [UInt8]
    ) {
        self.tenant = tenant
        self.sequence = sequence
        self.atMicroseconds = atMicroseconds
        self.actor = actor
        self.actorRole = actorRole
        self.action = action
        self.resource = resource
        self.outcome = outcome
        self.reason = reason
        self.traceID = traceID
        self.detail = detail
        self.previousHash = previousHash
        self.hash = hash
    }

    /// The entry as the next row of its chain.
    init(_ entry: AuditEntry, sequence: Int, previousHash: [UInt8]) {
        self.init(
            tenant: entry.chain.text, sequence: sequence,
            atMicroseconds: Int((entry.at.timeIntervalSince1970 * 1_000_000).rounded()), actor: entry.actor,
            actorRole: entry.actorRole, action: entry.action, resource: entry.resource,
            outcome: entry.outcome.rawValue, reason: entry.reason, traceID: entry.traceID,
            detail: Array(entry.detail.bytes), previousHash: previousHash, hash: []
        )
        hash = sealed
    }

    package var at: Date? { atMicroseconds.map { Date(timeIntervalSince1970: Double($0) / 1_000_000) } }
}
