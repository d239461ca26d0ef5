/// What one review said of work that was done by one version of a role's prompt.
package struct PromptReview: Sendable, Equatable {
    package let session: ReviewID
    package let role: AgentRole
    package let version: Int
    /// The attempt that was reviewed.
    package let attempt: Int
    package let round: Int
    /// `approved`, `rejected` or `escalated`.
    package let status: ReviewStatus
    /// Another round of rework began with it.
    package let isSentBack: Bool

    package init(
        session: ReviewID, role: AgentRole, version: Int, attempt: Int, round: Int, status: ReviewStatus,
        isSentBack: Bool
    ) {
        self.session = session
        self.role = role
        self.version = version
        self.attempt = attempt
        self.round = round
        self.status = status
        self.isSentBack = isSentBack
    }
}
