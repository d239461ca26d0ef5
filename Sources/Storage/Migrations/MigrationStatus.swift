package import FoundationEssentials

/// Where the database stands with one migration.
package struct MigrationStatus: Sendable, Equatable {
    package enum State: Sendable, Equatable {
        case pending
        case applied(at: Date)
        /// It was applied, and its file has been changed since.
        case changed(at: Date)
        /// It was applied by a newer build: this one has no such file.
        case unknown(at: Date)
    }

    /// Counts from 1 without gaps.
    package let version: Int
    /// The file's name without number and extension: `initial_schema`.
    package let name: String
    package let state: State

    package init(version: Int, name: String, state: State) {
        self.version = version
        self.name = name
        self.state = state
    }

    /// True unless pending. A service is ready for its schema when this holds for all.
    package var isApplied: Bool {
        switch state {
        case .pending: false
        case .applied, .changed, .unknown: true
        }
    }
}
