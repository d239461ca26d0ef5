package import Contracts
package import FoundationEssentials
internal import Synchronization

/// Whose tokens count no more though they have not expired: what this replica knows of it.
///
/// A token says nothing of that itself, so the service that keeps accounts says it here, and again whenever it changes.
package final class TokenRevocations: Sendable {
    package struct Holder: Sendable, Hashable {
        package let tenant: TenantID
        /// The token's `sub`.
        package let subject: String

        package init(tenant: TenantID, subject: String) {
            self.tenant = tenant
            self.subject = subject
        }
    }

    /// Which of a holder's tokens count.
    package enum Standing: Sendable, Equatable {
        case refused
        /// Those issued after this moment.
        case issuedAfter(Date)
    }

    private let standings = Mutex<[Holder: Standing]>([:])

    package init() {}

    /// What is said of a holder replaces what was said before; who is not named stays as they were.
    package func adopt(_ news: [Holder: Standing]) {
        if news.isEmpty { return }
        standings.withLock { $0.merge(news) { $1 } }
    }

    /// Whether a token with a good signature counts no more.
    func covers(_ token: VerifiedToken) -> Bool {
        let standing = standings.withLock { standings in
            standings.isEmpty
                ? nil : standings[Holder(tenant: token.principal.tenant, subject: token.principal.subject)]
        }
        return switch standing {
        case nil: false
        case .some(.refused): true
        // A token that does not say when it was issued may be the oldest there is.
        case .some(.issuedAfter(let time)): token.issuedAt.map { $0 <= time } ?? true
        }
    }
}
