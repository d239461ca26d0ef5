/// Where a task stands in its trace: a step below the request that submitted it, and above all that is done for it.
extension TaskRecord {
    /// The request's step.
    package var request: TraceContext? { traceparent.flatMap { TraceContext(traceparent: $0) } }

    /// The task's own step, which is exported when the task ends.
    package var traceContext: TraceContext? { TraceContext(of: id, submittedIn: traceparent) }

    /// For messages about the task.
    package var trace: String? { traceContext?.traceparent }
}

extension TraceContext {
    /// A task's own step, below the request whose `traceparent` this is; nil without one.
    package init?(of task: TaskID, submittedIn traceparent: String?) {
        guard let request = traceparent.flatMap({ TraceContext(traceparent: $0) }) else { return nil }
        self = request.step("task \(task)")
    }
}
