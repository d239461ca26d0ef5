import Contracts
import PeerHubCore
import Postgres
import Storage

/// A store beside the hubs', as another replica has it.
enum ReviewStoreThatDecides {
    static func make(_ pool: PostgresPool) -> ReviewStore {
        ReviewStore(pool: pool) { session, votes, atDeadline in
            Tally(session.terms, votes).outcome(atDeadline: atDeadline)
        }
    }
}
