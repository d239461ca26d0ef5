/// When the server makes a statement's plan.
package enum PostgresPlanning: Sendable {
    /// As the server thinks best, which is mostly for each call anew: right where tables' sizes or the values decide.
    case byCall
    /// Once a connection, and then whatever the tables' sizes: rows are found through indexes, by nested loops.
    ///
    /// For statements that are small and frequent: planning costs more than what they do. They must reach every table
    /// that grows by an index, and may put only few rows beside one another without one.
    case once
}

/// A statement is a type: its SQL, its bindings and what one row of its answer becomes.
///
/// It is prepared once per connection under a name derived from the type, and again after a reconnect, so `sql` must be
/// a constant. Values are always bound, never interpolated.
package protocol PostgresStatement: Sendable {
    associatedtype Row: Sendable

    /// One statement with `$1`, `$2`, … where values go.
    static var sql: String { get }

    /// The name reported to the observer. The type's name unless said otherwise.
    static var name: String { get }

    /// True promises that the statement changes nothing, so that when its connection is lost it may run again: the
    /// pool does that once by itself, and its error is `connectionLost` or `timeout`, never `outcomeUnknown`.
    static var isReadOnly: Bool { get }

    /// By call unless said otherwise.
    static var planning: PostgresPlanning { get }

    /// Binds `$1`, `$2`, … in order; always the same number and types.
    func bind(to bindings: inout PostgresBindings)

    /// Decodes one row. Runs on the connection's thread.
    static func row(_ row: borrowing PostgresRow) throws(PostgresError) -> Row
}

extension PostgresStatement {
    package static var name: String { String(describing: Self.self) }

    package static var isReadOnly: Bool { false }

    package static var planning: PostgresPlanning { .byCall }

    package func bind(to bindings: inout PostgresBindings) {}
}

extension PostgresStatement where Row == Void {
    package static func row(_ row: borrowing PostgresRow) throws(PostgresError) {}
}
