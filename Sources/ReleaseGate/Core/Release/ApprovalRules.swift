/// Whose yes a promotion needs, and which of the given ones count.
package enum ApprovalRules {
    package struct Ruling: Sendable, Equatable {
        package let refusals: [Refusal]
        package let lines: [String]
        package let counted: [Approval]
    }

    /// Roles that skip-staging hotfixes need beyond the required ones.
    package static let breakGlassExtra = 2

    /// Nobody for dev and staging; team lead and SRE for production; four more roles when it goes live.
    package static func required(_ target: DeployEnvironment, isGoLive: Bool) -> [Approval.Role] {
        switch target {
        case .dev, .staging: []
        case .prod where isGoLive:
            [.teamLead, .siteReliability, .techLead, .security, .operations, .productOwner]
        case .prod: [.teamLead, .siteReliability]
        }
    }

    package static func judge(_ request: PromotionRequest, isBreakGlass: Bool) -> Ruling {
        var refusals: [Refusal] = []
        var counted: [Approval] = []
        for approval in request.approvals.sorted(by: { ($0.signedSeconds, $0.keyID) < ($1.signedSeconds, $1.keyID) }) {
            if let fault = fault(of: approval, for: request, besides: counted) {
                refusals.append(Refusal(.approval, "\(approval.role.rawValue) by \(approval.signer): \(fault)"))
            } else {
                counted.append(approval)
            }
        }
        let roles = Set(counted.map(\.role))
        let required = required(request.target, isGoLive: request.isGoLive)
        // Approvals that do not count are told, and are no reason to refuse where enough others do.
        var missing = required.filter { !roles.contains($0) }.map { Refusal(.approval, "\($0.rawValue) is missing") }
        let extra = roles.subtracting(required).count
        if isBreakGlass, extra < breakGlassExtra {
            missing.append(
                Refusal(.approval, "break-glass needs \(breakGlassExtra) roles more, \(extra) have approved"))
        }
        let lines = counted.map { "approval: \($0.role.rawValue) by \($0.signer)" }
        if missing.isEmpty {
            return Ruling(refusals: [], lines: lines + refusals.map { "not counted: \($0.message)" }, counted: counted)
        }
        return Ruling(refusals: missing + refusals, lines: lines, counted: counted)
    }

    /// Why an approval does not count; nil when it does.
    private static func fault(
        of approval: Approval, for request: PromotionRequest, besides counted: [Approval]
    ) -> String? {
        if approval.signedSeconds > request.atSeconds { return "signed in the future" }
        if approval.expiresSeconds <= request.atSeconds {
            return "expired at \(Timestamp.text(approval.expiresSeconds))"
        }
        if Set(approval.digests) != Set(request.train.digests) { return "is for other digests" }
        if approval.planSHA256 != request.planSHA256 { return "is for another plan" }
        if counted.contains(where: { $0.role == approval.role }) { return "that role has approved already" }
        if counted.contains(where: { $0.keyID == approval.keyID || $0.signer == approval.signer }) {
            return "the same person has approved in another role"
        }
        return nil
    }
}
