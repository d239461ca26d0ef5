/// What became of a proposed prompt. The first three are also governance's verdicts.
package enum PromptStatus: String, Sendable, CaseIterable {
    /// Became active by itself, within the role's limits.
    case autoApproved = "auto_approved"
    /// Waits for a human.
    case pendingReview = "pending_review"
    /// Came within the cooldown or beyond the daily limit; a human may approve it all the same.
    case blocked
    /// By a human, which made it active.
    case approved
    case rejected

    /// A human may still decide on it.
    package var isUndecided: Bool {
        switch self {
        case .pendingReview, .blocked: true
        case .autoApproved, .approved, .rejected: false
        }
    }
}
