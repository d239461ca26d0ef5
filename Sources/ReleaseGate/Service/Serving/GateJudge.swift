internal import Foundation
internal import ReleaseGateCore

/// Answers what others ask the gate, with one decision per step and look: however many ask, the source is asked once.
actor GateJudge {
    /// That there are, counted from 1.
    nonisolated let steps: ClosedRange<Int>
    private let session: GateSession
    private let release: ReleaseFile
    private let environment: DeployEnvironment
    /// By step. It is good from when the look ended: one that takes longer than it is good for would never be seen.
    private var newest: [Int?: (record: DecisionRecord, endedSeconds: Int)] = [:]
    /// Who waits for the look that another takes at a step; a step that nobody looks at is absent.
    private var waiting: [Int?: [CheckedContinuation<Turn, Never>]] = [:]

    private enum Turn: Sendable {
        case decided(Result<DecisionRecord, any Error>)
        /// Whoever looked has left: look for yourself.
        case look
    }

    init(session: GateSession, release: ReleaseFile, environment: DeployEnvironment) {
        self.session = session
        self.release = release
        self.environment = environment
        steps = 1...max(1, session.configuration.policy.stepPercents.count)
    }

    /// The decision as of the newest look.
    ///
    /// - Parameter step: of `steps`; nil: the one that the lineage says was reached, or else the last.
    func decision(at step: Int? = nil) async throws -> DecisionRecord {
        while true {
            let now = session.nowSeconds
            if let newest = newest[step], now - newest.endedSeconds < session.configuration.lookSeconds {
                return newest.record
            }
            guard waiting[step] != nil else { return try await look(at: step, now) }
            let turn: Turn = await withCheckedContinuation { waiting[step, default: []].append($0) }
            switch turn {
            case .decided(let result): return try result.get()
            case .look: continue
            }
        }
    }

    /// Takes a look for all who ask meanwhile.
    private func look(at step: Int?, _ now: Int) async throws -> DecisionRecord {
        waiting[step] = []
        let result: Result<DecisionRecord, any Error>
        var turn = Turn.look
        do {
            let record = try await session.currentDecision(release, environment, step: step, at: now)
            newest[step] = (record, session.nowSeconds)
            result = .success(record)
            turn = .decided(result)
        } catch {
            result = .failure(error)
            // Who leaves must not take the others' answer along.
            if !Task.isCancelled { turn = .decided(result) }
        }
        for waiter in waiting.removeValue(forKey: step) ?? [] { waiter.resume(returning: turn) }
        return try result.get()
    }

    /// Why a release may not begin at all, by what was recorded of it; nil when it may.
    func mayBegin() async throws -> String? {
        let entries = try await session.book.entries()
        return switch ReleaseStanding(release, in: environment, by: entries, isStrict: false) {
        case .free, .replaced, .withdrawn: nil
        case .rolledBack(let why), .barred(let why): why
        }
    }
}
