internal import ReleaseGateCore

/// Works out from the lineage and the records what a certificate may say. Pure.
enum CertificateBuilder {
    /// - Throws: `refused` when the release is not sealed, or something else is under its version.
    static func statement(
        release: ReleaseFile, environment: DeployEnvironment, namespace: String, entries: [LineageEntry],
        resources: [CertificateStatement.Resource], signer: String
    ) throws -> CertificateStatement {
        let version = release.train.version
        let state = WalkState(entries, environment: environment, version: version)
        let seal = try state.verifiedSeal(of: release, in: environment)
        guard let decision = state.decision, let evidence = decision.event.evidenceSHA256,
            let policy = decision.event.policySHA256
        else {
            throw GateError(.refused, "No decision that names its evidence sealed \(version): nothing was signed.")
        }
        let until = Array(entries.prefix(seal.sequence + 1))
        return CertificateStatement(
            chartName: release.name, version: version, appVersion: version.description, environment: environment,
            namespace: namespace, revision: seal.event.revision ?? release.revision ?? "-",
            sealedSeconds: seal.event.atSeconds, subjects: release.train.digests,
            evidence: try headings(release, seal, decision, until, entries), resources: resources,
            lineageSize: until.count, lineageRootSHA256: try Lineage.tree(until).root.hexadecimal,
            decisionSHA256: evidence, policySHA256: policy, signer: signer)
    }

    private static func headings(
        _ release: ReleaseFile, _ seal: LineageEntry, _ decision: LineageEntry, _ until: [LineageEntry],
        _ all: [LineageEntry]
    ) throws -> [CertificateStatement.Evidence] {
        var evidence: [CertificateStatement.Evidence] = []
        func add(_ heading: CertificateStatement.Heading, _ name: String, _ sha256: String, _ holds: Bool = true) {
            evidence.append(CertificateStatement.Evidence(heading: heading, name: name, sha256: sha256, holds: holds))
        }
        let version = release.train.version
        if let cut = until.last(where: { $0.event.kind == .cut && $0.event.version == version }) {
            add(.versionControl, "lineage entry \(cut.sequence), cut", try cut.sha256())
        }
        add(.lineagePreservation, "Merkle root of \(until.count) entries", try Lineage.tree(until).root.hexadecimal)
        add(.promotionGates, "decision of entry \(decision.sequence)", decision.event.evidenceSHA256 ?? "")
        add(.rolloutStrategy, "policy of entry \(decision.sequence)", decision.event.policySHA256 ?? "")
        add(.monitoring, "metrics of entry \(decision.sequence)", decision.event.evidenceSHA256 ?? "")
        let afterwards = all.last {
            $0.event.version == version && $0.event.environment == decision.event.environment
                && $0.sequence > decision.sequence && showsSomething($0.event)
        }
        if let afterwards {
            add(
                .postDeployment, "lineage entry \(afterwards.sequence), \(afterwards.event.kind.rawValue)",
                try afterwards.sha256(), afterwards.event.kind == .verification)
        }
        // As of the seal. What is about something else, came later, or is too old by then shows nothing, neither way.
        let place = PreconditionRules.Place(
            artifacts: release.train.artifacts, environment: seal.event.environment, atSeconds: seal.event.atSeconds)
        let reports = release.preconditions.filter { report in
            report.atSeconds <= place.atSeconds && PreconditionRules.isAbout(place, report)
        }
        for kind in Precondition.Kind.allCases {
            guard let heading = heading(of: kind), let report = PreconditionRules.newest(kind, of: reports, for: place)
            else { continue }
            let holds = PreconditionRules.fault(of: report, for: place) == nil
            guard holds || report.result == .failed else { continue }
            add(heading, "\(kind.rawValue): \(report.summary)", report.evidenceSHA256, holds)
        }
        return evidence
    }

    /// Whether it speaks for or against a release: a verification that found too little to judge by does neither, and a
    /// bad one is followed by the revocation.
    private static func showsSomething(_ event: LineageEntry.Event) -> Bool {
        event.kind == .revocation
            || (event.kind == .verification && (event.decision == .seal || event.decision == .advance))
    }

    private static func heading(of kind: Precondition.Kind) -> CertificateStatement.Heading? {
        switch kind {
        case .endToEndTests, .smokeTests, .loadTest, .preflight: .preDeployment
        case .vulnerabilityScan, .securityScan, .secretRotation: .security
        case .backup, .restoreDrill, .volumeSnapshot: .stateManagement
        case .releaseNotes: .documentation
        case .onCallAcknowledged, .maintenanceWindow, .rollbackPlan: nil
        }
    }
}
