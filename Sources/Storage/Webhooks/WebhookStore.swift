package import Contracts
package import FoundationEssentials
package import Postgres

/// The tenants' subscriptions and signing secrets.
package struct WebhookStore: Sendable {
    private let pool: PostgresPool

    package init(pool: PostgresPool) {
        self.pool = pool
    }

    /// False when the tenant has `Webhook.perTenantMax` subscriptions, or a callback secret already: nothing was added.
    package func add(_ webhook: Webhook) async throws -> Bool {
        try await !pool.execute(InsertWebhook(webhook: webhook)).isEmpty
    }

    package func find(_ reference: WebhookReference, tenant: TenantID) async throws -> Webhook? {
        try await pool.execute(FindWebhook(reference: reference, tenant: tenant)).first
    }

    /// Subscriptions, newest first, older than `before`.
    package func list(tenant: TenantID, before: UUID?, limit: Int) async throws -> [Webhook] {
        try await pool.execute(ListWebhooks(tenant: tenant, before: before, limit: limit))
    }

    /// Removes a subscription and ends what waits to be sent to it. False when the tenant has no such subscription.
    package func remove(_ id: UUID, tenant: TenantID) async throws -> Bool {
        try await !pool.execute(RemoveWebhook(id: id, tenant: tenant)).isEmpty
    }

    /// Gives it another secret; until `previousUntil` the one so far is kept beside it.
    package func rotate(
        _ reference: WebhookReference, tenant: TenantID, to sealed: [UInt8], previousUntil: Date, now: Date
    ) async throws -> Webhook? {
        let statement = RotateSecret(
            reference: reference, tenant: tenant, sealed: sealed, previousUntil: previousUntil, now: now
        )
        return try await pool.execute(statement).first
    }

    /// Sends no more to a subscription, until it is enabled again. One that is disabled keeps its first reason.
    package func disable(_ id: UUID, reason: String) async throws {
        try await pool.execute(DisableWebhook(id: id, reason: reason))
    }

    package func enable(_ id: UUID, tenant: TenantID) async throws -> Webhook? {
        try await pool.execute(EnableWebhook(id: id, tenant: tenant)).first
    }
}
