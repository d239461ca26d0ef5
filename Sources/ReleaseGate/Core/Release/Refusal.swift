/// One reason why a release may not be cut or promoted. Everything that is wrong is said at once, not the first thing
/// alone.
package struct Refusal: Sendable, Equatable, Codable, CustomStringConvertible {
    /// Stable words for metrics and scripts.
    package enum Code: String, Sendable, Codable, CaseIterable {
        case versionTaken = "version_taken"
        case versionBurned = "version_burned"
        case versionSkips = "version_skips"
        case versionNotHigher = "version_not_higher"
        case chartVersion = "chart_version"
        case appVersion = "app_version"
        case changelogEntry = "changelog_entry"
        case changelogEmpty = "changelog_empty"
        case changelogBump = "changelog_bump"
        case breakingUnannounced = "breaking_unannounced"
        case migrationNotes = "migration_notes"
        case imageFloating = "image_floating"
        case path, seal, soak, approval, precondition, tag, signature, provenance, compatibility
        case previousVersion = "previous_version"
        case budgetSpent = "budget_spent"
        case budgetBurning = "budget_burning"
        case budgetUnknown = "budget_unknown"
    }

    package let code: Code
    package let message: String

    package init(_ code: Code, _ message: String) {
        self.code = code
        self.message = message
    }

    package var description: String { "\(code.rawValue): \(message)" }
}
