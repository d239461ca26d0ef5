internal import Foundation
internal import ReleaseGateCore

/// Answers what others ask the gate, with one decision per look: however many ask, the source is asked once.
actor GateJudge {
    private let session: GateSession
    private let release: ReleaseFile
    private let environment: DeployEnvironment
    private var newest: DecisionRecord?

    init(session: GateSession, release: ReleaseFile, environment: DeployEnvironment) {
        self.session = session
        self.release = release
        self.environment = environment
    }

    /// The decision as of the newest look.
    func decision() async throws -> DecisionRecord {
        let now = session.nowSeconds
        if let newest, now - newest.input.atSeconds < session.configuration.lookSeconds { return newest }
        let record = try await session.currentDecision(release, environment, at: now)
        newest = record
        return record
    }

    /// Whether a release may begin at all: it was not rolled back, and its budget does not forbid it.
    func mayBegin() async throws -> String? {
        let state = WalkState(
            try await session.book.entries(), environment: environment, version: release.train.version)
        switch state.phase {
        case .rolledBack: return "\(release.train.version) was rolled back in \(environment.rawValue)"
        case .decided(.rollBack, _): return "\(release.train.version) is being rolled back"
        case .notBegun, .walking, .decided, .sealed: return nil
        }
    }
}
