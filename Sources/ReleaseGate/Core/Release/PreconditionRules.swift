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
        let place = Place(
            artifacts: request.train.artifacts, environment: request.target, atSeconds: request.atSeconds)
        for kind in Precondition.Kind.allCases where isRequired(kind, for: request) {
            let report = newest(kind, of: request.preconditions, for: place)
            let fault = report.flatMap { Self.fault(of: $0, for: place) }
            if let report, fault == nil {
                lines.append("\(kind.rawValue): \(report.summary)")
                continue
            }
            let text = "\(kind.rawValue): \(fault ?? "there is no report")"
            if isWarning(kind) { warnings.append(text) } else { refusals.append(Refusal(.precondition, text)) }
        }
        return Ruling(refusals: refusals, warnings: warnings, lines: lines)
    }

    /// What a report must be about, and the time as of which it is judged.
    package struct Place: Sendable, Equatable {
        package let artifacts: [ArtifactDigest]
        package let environment: DeployEnvironment
        package let atSeconds: Int

        package init(artifacts: [ArtifactDigest], environment: DeployEnvironment, atSeconds: Int) {
            self.artifacts = artifacts
            self.environment = environment
            self.atSeconds = atSeconds
        }
    }

    /// The report of a kind that decides: the newest about the place, where one is; a failed one before a passed one of
    /// the same time. Nil when there is none of that kind.
    package static func newest(
        _ kind: Precondition.Kind, of reports: [Precondition], for place: Place
    ) -> Precondition? {
        let all = reports.filter { $0.kind == kind }
        let own = all.filter { isAbout(place, $0) }
        return (own.isEmpty ? all : own).max {
            ($0.atSeconds, $0.result == .failed ? 1 : 0) < ($1.atSeconds, $1.result == .failed ? 1 : 0)
        }
    }

    /// Why a report shows nothing good of the place; nil when it does.
    package static func fault(of report: Precondition, for place: Place) -> String? {
        if let strangeness = strangeness(of: report, to: place) { return strangeness }
        if report.result == .failed { return "failed: \(report.summary)" }
        if report.atSeconds > place.atSeconds { return "is from the future" }
        if let limit = ageMaxSeconds(report.kind), place.atSeconds - report.atSeconds > limit {
            return "is older than \(limit / 3600) hours: \(Timestamp.text(report.atSeconds))"
        }
        if Digest(hexadecimal: report.evidenceSHA256) == nil { return "has no evidence" }
        return nil
    }

    /// Whether a report is about the place, and not about other artifacts or another environment.
    package static func isAbout(_ place: Place, _ report: Precondition) -> Bool {
        strangeness(of: report, to: place) == nil
    }

    /// Why a report is about something else; nil when it is about the place.
    private static func strangeness(of report: Precondition, to place: Place) -> String? {
        if let environment = report.environment, environment != place.environment {
            return "is about \(environment.rawValue)"
        }
        if isBound(report.kind), !Set(report.digests).isSuperset(of: place.artifacts) {
            return "is about other digests"
        }
        return nil
    }
}
