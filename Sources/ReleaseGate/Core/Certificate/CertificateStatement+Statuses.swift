extension CertificateStatement {
    /// A heading's line: what the evidence allows to be said, and no more.
    package struct Status: Sendable, Equatable {
        package enum Verdict: Sendable, Equatable {
            /// There is evidence, and all of it holds.
            case holds
            /// Some evidence speaks against it.
            case fails
            case unverified
        }

        package let heading: Heading
        package let verdict: Verdict
        package let evidence: [Evidence]

        /// The customer's word for a heading that holds: never printed without evidence.
        package var word: String {
            switch verdict {
            case .holds: heading.word
            case .fails: "FAILED"
            case .unverified: "UNVERIFIED"
            }
        }
    }

    /// All ten, in their order.
    package var statuses: [Status] {
        Heading.allCases.map { heading in
            // Evidence that names no digest shows nothing.
            let found = evidence.filter { $0.heading == heading && Digest(hexadecimal: $0.sha256) != nil }
            let verdict: Status.Verdict =
                found.isEmpty ? .unverified : found.allSatisfy(\.holds) ? .holds : .fails
            return Status(heading: heading, verdict: verdict, evidence: found)
        }
    }

    package var isPassed: Bool { statuses.allSatisfy { $0.verdict == .holds } }
}

extension CertificateStatement.Heading {
    package var title: String {
        switch self {
        case .versionControl: "Version Control"
        case .lineagePreservation: "Lineage Preservation"
        case .promotionGates: "Promotion Gates"
        case .security: "Security & RBAC"
        case .stateManagement: "State Management"
        case .rolloutStrategy: "Rollout Strategy"
        case .preDeployment: "Pre-Deployment"
        case .postDeployment: "Post-Deployment"
        case .monitoring: "Monitoring"
        case .documentation: "Documentation"
        }
    }

    var word: String {
        switch self {
        case .versionControl, .postDeployment: "VERIFIED"
        case .lineagePreservation: "ARCHIVED"
        case .promotionGates: "PASSED"
        case .security: "ENFORCED"
        case .stateManagement: "BACKED UP"
        case .rolloutStrategy: "CONFIGURED"
        case .preDeployment: "VALIDATED"
        case .monitoring: "ACTIVE"
        case .documentation: "COMPLETE"
        }
    }
}
