/// Where a replay stands. The raw values are stored and shown.
///
///     running ⇄ stopped
///     running → done
package enum ReplayState: String, Sendable, CaseIterable {
    /// A dlq-worker has it in hand, or takes it next.
    case running
    /// Somebody stopped it; what was replayed stays so, and it may be resumed.
    case stopped
    /// Every letter that was meant has been looked at.
    case done
}
