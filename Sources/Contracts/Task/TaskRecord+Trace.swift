/// Where a task stands in its trace: a step below the request that submitted it, and above all that is done for it.
extension TaskRecord {
    /// The request's step.
    package var request: TraceContext? { traceparent.flatMap { TraceContext(traceparent: $0) } }

    /// The task's own step, which is exported when the task ends.
    package var traceContext: TraceContext? { request?.step("task \(id)") }

    /// For messages about the task.
    package var trace: String? { traceContext?.traceparent }
}
