package import Contracts
package import Postgres

/// Escalations as supervisors work on them.
///
/// What is decided is stored before it is said: a row is locked, judged by a pure function that is handed in, and
/// written in one transaction, so that of any number of supervisors one acts. They begin and end with their tasks'
/// changes, which are the orchestrators'.
package final class SupervisionStore: Sendable {
    package typealias Plan = @Sendable (EscalationCase) -> EscalationPlan
    package typealias Judge =
        @Sendable (_ answer: JSON, AnalysisForm, EscalationCase) throws(JSONError) -> SupervisorStep

    private let pool: PostgresPool
    private let times: SupervisionTimes

    package init(pool: PostgresPool, times: SupervisionTimes) {
        self.pool = pool
        self.times = times
    }

    // MARK: Meeting

    /// Judges escalations that nobody has met: those named, or when nil those whose message should have come by now.
    ///
    /// - Parameter ticket: makes a new ticket for each analysis.
    package func meet(
        _ ids: [EscalationID]?, limit: Int, ticket: @escaping @Sendable () -> AnalysisTicket, plan: @escaping Plan
    ) async throws -> [MetEscalation] {
        try await pool.transaction { [times] tx in
            let taken = try tx.execute(TakeEscalations(ids: ids, graceSeconds: times.graceSeconds, limit: limit))
            guard !taken.isEmpty else { return [] }
            let cases = try Self.complete(taken, times, in: tx)
            let met = cases.map { MetEscalation(escalation: $0, plan: plan($0)) }
            let rows = met.map { met in
                WriteSteps.Step(
                    id: met.escalation.id, classification: met.plan.classification, signature: met.plan.signature,
                    step: met.plan.step, ticket: ticket()
                )
            }
            try tx.finish(WriteSteps(rows: rows, analystSeconds: times.analystSeconds))
            return met
        }
    }

    /// Adds what was tried before and who is online.
    private static func complete(
        _ cases: [EscalationCase], _ times: SupervisionTimes, in tx: borrowing PostgresTransaction
    ) throws -> [EscalationCase] {
        let earlier = try tx.execute(ListEarlier(tasks: cases.map(\.task)))
        let online = Set(try tx.execute(ListRolesOnline(seconds: times.onlineSeconds)).compactMap { $0 })
        return cases.map { escalation in
            var escalation = escalation
            escalation.earlier = earlier.filter { $0.task == escalation.task }.map(\.earlier)
            escalation.rolesOnline = online
            return escalation
        }
    }

    // MARK: Analysis

    /// Analyses that are to be asked for.
    package func unsent(materialBytesMax: Int, limit: Int) async throws -> [AnalysisRequest] {
        try await pool.transaction { [times] tx in
            let found = try tx.execute(UnsentAnalyses(materialBytesMax: materialBytesMax, limit: limit))
            guard !found.isEmpty else { return [] }
            let cases = try Self.complete(found.map(\.escalation), times, in: tx)
            return zip(found, cases).map { request, escalation in
                AnalysisRequest(
                    escalation: escalation, classification: request.classification, form: request.form,
                    ticket: request.ticket, deadline: request.deadline, input: request.input, made: request.made
                )
            }
        }
    }

    package func markSent(_ ids: [EscalationID]) async throws {
        if !ids.isEmpty { _ = try await pool.execute(MarkAnalysesSent(ids: ids)) }
    }

    /// Takes an analyst's report: its answer is judged and what follows is stored, once.
    package func answer(_ report: AnalysisReport, judge: @escaping Judge) async throws -> AnalysisOutcome {
        try await pool.transaction { [times] tx in
            guard let locked = try tx.execute(LockAnalysis(id: report.escalation)).first else { return .unknown }
            guard let form = locked.form, locked.ticket == report.ticket else { return .foreign }
            guard locked.isOpen, let escalation = try Self.complete([locked.escalation], times, in: tx).first else {
                return .late
            }
            var row = WriteSteps.Step(id: escalation.id, step: .leaveToHuman(.analystFailed), analyst: report.agent)
            var outcome = AnalysisOutcome.taken(row.step, escalation)
            if let answer = report.answer {
                do throws(JSONError) {
                    let step = try judge(answer, form, escalation)
                    row = WriteSteps.Step(id: escalation.id, step: step, analyst: report.agent, analysis: answer)
                    outcome = .taken(step, escalation)
                } catch {
                    row = WriteSteps.Step(
                        id: escalation.id, step: .leaveToHuman(.answerRefused), analyst: report.agent)
                    outcome = .unreadable(why: "\(error)", escalation)
                }
            }
            row.analysisTokens = report.usageTokens
            try tx.finish(WriteSteps(rows: [row], analystSeconds: times.analystSeconds))
            return outcome
        }
    }

    /// Leaves to humans what no analyst answered in time.
    package func endAnalyses(limit: Int) async throws -> [WaitingEscalation] {
        try await pool.execute(EndAnalyses(limit: limit))
    }

    // MARK: Decisions

    package func unpublished(limit: Int) async throws -> [PendingResolution] {
        try await pool.execute(UnpublishedDecisions(repeatSeconds: times.repeatSeconds, limit: limit))
    }

    package func markPublished(_ ids: [EscalationID]) async throws {
        if !ids.isEmpty { _ = try await pool.execute(MarkDecisionsPublished(ids: ids)) }
    }

    // MARK: Humans, and metrics

    /// Raises what has waited too long; answers what was raised.
    package func raiseSeverity(limit: Int) async throws -> [WaitingEscalation] {
        try await pool.execute(RaiseSeverity(times: times, limit: limit))
    }

    /// Those that were resolved since somebody last asked.
    package func countResolved(limit: Int) async throws -> [ResolvedEscalation] {
        try await pool.execute(CountResolved(limit: limit))
    }

    /// By status.
    package func unresolved() async throws -> [String: Int] {
        Dictionary(try await pool.execute(CountUnresolved()).map { ($0.status, $0.count) }) { $0 + $1 }
    }

    /// Throws unless the table is there, with all that supervisors need of it.
    package func checkSchema() async throws { _ = try await pool.execute(CheckSupervisionSchema()) }
}
