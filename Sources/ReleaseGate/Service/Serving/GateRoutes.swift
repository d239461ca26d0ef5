internal import Contracts
internal import Crypto
internal import HTTPEdge
internal import HTTPTypes
internal import Hummingbird
internal import ReleaseGateCore

/// What progressive-delivery controllers ask the gate: Flagger by webhooks, Argo Rollouts by its `web` metric.
struct GateRoutes: Sendable {
    let judge: GateJudge
    /// Who knows it may ask. Secret. Nil: whoever reaches the port may.
    let token: String?

    private static let bodyBytesMax = 256 << 10

    var routes: [Route] { flagger + [argo] }

    /// They answer, and change nothing.
    var flagger: [Route] {
        [
            flagger("confirm-rollout", "May the canary begin?") { judge in
                (try await judge.mayBegin()).map { .no($0) } ?? .yes("it may begin")
            },
            flagger("rollout", "May the canary stay?") { judge in
                let record = try await judge.decision()
                return record.decision.outcome == .rollBack ? .no(record.headline) : .yes(record.headline)
            },
            flagger("confirm-traffic-increase", "Is the canary shown to be within budget?") { judge in
                // The last step asks for more proof than the first weight's traffic ever brings.
                let record = try await judge.decision(at: judge.steps.lowerBound)
                switch record.decision.outcome {
                case .seal, .advance: return .yes(record.headline)
                case .wait, .extend, .hold, .rollBack: return .no(record.headline)
                }
            },
            flagger("confirm-promotion", "Is the canary proven good?") { judge in
                let record = try await judge.decision()
                switch record.decision.outcome {
                case .seal: return .yes(record.headline)
                case .advance, .wait, .extend, .hold, .rollBack: return .no(record.headline)
                }
            },
            flagger("rollback", "Must the canary be rolled back? 200 says yes.") { judge in
                let record = try await judge.decision()
                return record.decision.outcome == .rollBack ? .yes(record.headline) : .no(record.headline)
            },
        ]
    }

    private enum Verdict: Sendable {
        case yes(String)
        case no(String)
    }

    /// Flagger goes by the status alone: 200 is yes, anything else no.
    private func flagger(
        _ hook: String, _ summary: String, _ ask: @escaping @Sendable (GateJudge) async throws -> Verdict
    ) -> Route {
        Route(
            .post, "/flagger/\(hook)", access: .open, rateLimit: .never,
            operation: Operation(
                id: "flagger-\(hook)", summary: summary, tag: "flagger",
                answers: [Answer(.ok, "Yes.", .json(.object([.required("reason", .text())])))],
                problems: [.unauthenticated, .conflict]),
            handler: { request, _ in
                try authorise(request)
                _ = try await request.readOptionalJSON(limit: Self.bodyBytesMax)
                switch try await ask(judge) {
                case .yes(let reason): return .json(JSONWriter.object { $0.field("reason", reason) })
                case .no(let reason): throw Problem(.conflict, reason)
                }
            })
    }

    private static let answer = Schema.object([
        .required("outcome", .text()), .required("row", .text()),
        .required("goOn", .boolean, "Nothing stands against the step's going on."),
        .required("proven", .boolean, "The step may end, and the next begin."),
        .required("rollBack", .boolean, "The canary must go."),
        .required("version", .text()), .required("lines", .array(of: .text())),
    ])

    /// While a step lasts, `successCondition` is `result.goOn`; where it ends, `result.proven`: time that passed
    /// without evidence proves nothing. `failureCondition` of both is `result.rollBack`. What is neither is
    /// inconclusive, and the Rollout pauses.
    private var argo: Route {
        Route(
            .get, "/argo/decision", access: .open, rateLimit: .never,
            operation: Operation(
                id: "argo-decision", summary: "The decision, for Argo Rollouts' web metric.", tag: "argo",
                parameters: [
                    Parameter(.query, "step", .integer(judge.steps), "Which step is judged; the last when absent.")
                ],
                answers: [Answer(.ok, "The decision.", .json(Self.answer))],
                problems: [.unauthenticated, .validationFailed]),
            handler: { request, _ in
                try authorise(request)
                let record = try await judge.decision(at: try step(of: request))
                let decision = record.decision
                return .json(
                    JSONWriter.object { writer in
                        writer.field("outcome", decision.outcome.rawValue)
                        writer.field("row", decision.row.rawValue)
                        writer.field("goOn", decision.outcome < .hold)
                        writer.field("proven", decision.outcome < .wait)
                        writer.field("rollBack", decision.outcome == .rollBack)
                        writer.field("version", record.input.version.description)
                        writer.field("lines", decision.lines)
                    })
            })
    }

    /// - Throws: 422 for a step that there is not.
    private func step(of request: Request) throws(Problem) -> Int? {
        var query = try QueryReader(request)
        let text = query.string("step")
        try query.refuseUnknown()
        guard let text else { return nil }
        guard let step = Int(text), judge.steps.contains(step) else {
            throw Problem.invalid("step", "must be \(judge.steps.lowerBound) to \(judge.steps.upperBound)")
        }
        return step
    }

    /// Compared as hashes, so that the time it takes tells nothing of the token.
    private func authorise(_ request: Request) throws(Problem) {
        guard let token else { return }
        let given = request.headers[.authorization] ?? ""
        guard SHA256.hash(data: Array(given.utf8)) == SHA256.hash(data: Array("Bearer \(token)".utf8)) else {
            throw Problem(
                .unauthenticated, "Send the gate's token: Authorization: Bearer <token>.",
                headers: [.wwwAuthenticate: "Bearer"])
        }
    }
}
