/// What must have been done before, how long ago at most, and for which promotions.
package enum PreconditionRules {
    package struct Ruling: Sendable, Equatable {
        package let refusals: [Refusal]
        package let warnings: [String]
        package let lines: [String]
    }

    private static let day = 86_400

    /// Nil: however long ago.
    package static func ageMaxSeconds(_ kind: Precondition.Kind) -> Int? {
        switch kind {
        case .vulnerabilityScan, .preflight, .backup, .volumeSnapshot, .onCallAcknowledged, .maintenanceWindow: day
        case .endToEndTests, .smokeTests: 7 * day
        case .loadTest, .securityScan: 30 * day
        case .restoreDrill, .secretRotation: 90 * day
        case .rollbackPlan, .releaseNotes: nil
        }
    }

    /// Whether a report is about these very artifacts, and not about the environment.
    package static func isBound(_ kind: Precondition.Kind) -> Bool {
        switch kind {
        case .endToEndTests, .smokeTests, .loadTest, .vulnerabilityScan, .rollbackPlan, .releaseNotes: true
        case .backup, .restoreDrill, .secretRotation, .volumeSnapshot, .onCallAcknowledged, .maintenanceWindow,
            .securityScan, .preflight:
            false
        }
    }

    package static func isRequired(_ kind: Precondition.Kind, for request: PromotionRequest) -> Bool {
        switch kind {
        case .releaseNotes: true
        case .smokeTests, .endToEndTests, .vulnerabilityScan: request.target != .dev
        case .volumeSnapshot: request.target == .prod && request.bump == .major
        case .loadTest: request.target == .prod && !request.isHotfix
        case .securityScan: request.target == .prod && request.isGoLive
        case .preflight, .backup, .restoreDrill, .secretRotation, .onCallAcknowledged, .maintenanceWindow,
            .rollbackPlan:
            request.target == .prod
        }
    }

    /// Old secrets are warned of (A20); everything else that lacks is a refusal.
    private static func isWarning(_ kind: Precondition.Kind) -> Bool { kind == .secretRotation }

    package static func judge(_ request: PromotionRequest) -> Ruling {
        var refusals: [Refusal] = []
        var warnings: [String] = []
        var lines: [String] = []
        for kind in Precondition.Kind.allCases where isRequired(kind, for: request) {
            let reports = request.preconditions.filter { $0.kind == kind }
            let faults = reports.map { fault(of: $0, for: request) }
            if let good = zip(reports, faults).first(where: { $0.1 == nil })?.0 {
                lines.append("\(kind.rawValue): \(good.summary)")
                continue
            }
            let text = "\(kind.rawValue): \(faults.compactMap { $0 }.first ?? "there is no report")"
            if isWarning(kind) { warnings.append(text) } else { refusals.append(Refusal(.precondition, text)) }
        }
        return Ruling(refusals: refusals, warnings: warnings, lines: lines)
    }

    private static func fault(of report: Precondition, for request: PromotionRequest) -> String? {
        if report.result == .failed { return "failed: \(report.summary)" }
        if let environment = report.environment, environment != request.target {
            return "is about \(environment.rawValue)"
        }
        if report.atSeconds > request.atSeconds { return "is from the future" }
        if let limit = ageMaxSeconds(report.kind), request.atSeconds - report.atSeconds > limit {
            return "is older than \(limit / 3600) hours: \(Timestamp.text(report.atSeconds))"
        }
        if isBound(report.kind), !Set(report.digests).isSuperset(of: request.train.artifacts) {
            return "is about other digests"
        }
        if Digest(hexadecimal: report.evidenceSHA256) == nil { return "has no evidence" }
        return nil
    }
}
