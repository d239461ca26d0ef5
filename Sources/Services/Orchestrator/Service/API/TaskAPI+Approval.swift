internal import Contracts
internal import HTTPEdge
internal import HTTPTypes
internal import Hummingbird
internal import OrchestratorCore

/// A human's word about work that waits for it.
extension TaskAPI {
    /// What a human has to say about it, in a sentence or two.
    static let reasonMax = 500

    var approvalRoute: Route {
        Route(
            .post, "/tasks/{id}/approval", access: .require(.taskApprove), operation: Self.approvalOperation,
            handler: approve
        )
    }

    private static let approvalOperation = Operation(
        id: "approveTask", summary: "Approves or rejects what a task waits to have approved.", tag: "tasks",
        parameters: [Parameter(.path, "id", .uuid, "The task's id.")],
        body: Body(
            .object([
                .required("verdict", .choice(["approve", "reject"]), "Approved work goes on; a rejected task ends."),
                .optional("reason", .nullable(.text(min: 1, max: reasonMax)), "Required with reject."),
                .optional(
                    "approval_id", .nullable(.uuid),
                    "The question that was looked at, from the task; whichever is open when absent."
                ),
            ])
        ),
        answers: [Answer(.ok, "The task as it is now.", .json(.named("Task")))],
        problems: [.notFound, .taskEnded, .conflict]
    )

    private func approve(_ request: Request, _ context: EdgeRequestContext) async throws -> Response {
        let principal = try context.requirePrincipal()
        let id = try context.taskID()
        _ = try await find(id, principal)
        let (verdict, question) = try Self.verdict(try await request.readJSON(limit: 64 * 1024))
        let event = TaskMachine.Event.approvalGiven(question: question, by: principal.subject, verdict: verdict)
        switch try await judge.apply(event, to: id, tenant: principal.tenant) {
        case .changed(let task): return .json(TaskView.summary(task, workflow: try await workflow(of: task)))
        case .unchanged(let task, .ended): throw Self.ended(task)
        case .unchanged(_, .lost):
            throw Problem(
                .conflict, "That question is no longer open: the work was changed since. Nothing was changed.")
        case .unchanged(let task, _):
            throw Problem(
                .conflict, "The task does not wait for approval, it is \(task.state.rawValue). Nothing was changed.")
        case .unknown: throw Problem.notFound("task")
        }
    }

    private static func verdict(
        _ json: JSON
    ) throws(JSONError) -> (verdict: TaskMachine.Approval, question: String?) {
        var body = try JSONReader(json)
        let word = try body.string("verdict")
        let reason = try body.optionalText("reason", max: reasonMax)
        let question = try body.optionalString("approval_id")
        try body.refuseUnknown()
        switch word {
        case "approve": return (.approve(reason: reason), question)
        case "reject":
            guard let reason else { throw body.error("reason", "is required with reject") }
            return (.reject(reason: reason), question)
        default: throw body.error("verdict", "must be approve or reject")
        }
    }
}
