package import FoundationEssentials

/// Names one dead letter, for life.
package struct DeadLetterID: Hashable, Sendable, CustomStringConvertible {
    package let uuid: UUID

    package init(_ uuid: UUID) {
        self.uuid = uuid
    }

    /// Nil unless `text` is a UUID.
    package init?(_ text: some StringProtocol) {
        guard let id = TaskID(text) else { return nil }
        uuid = id.uuid
    }

    /// Lower case, as it stands in URLs.
    package var description: String { TaskID(uuid).description }
}
