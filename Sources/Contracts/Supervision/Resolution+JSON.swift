/// A resolution as it travels and is kept: `{"resolution": …}` with the fields that belong to the word. The same in the
/// API's bodies, in messages and in the table.
extension Resolution {
    /// Reads the fields from a body that may hold others.
    ///
    /// - Parameter canceledBy: stands in the reason of a cancellation that gives none; without it one is required.
    /// - Throws: naming the field, for one that is missing, out of bounds, or belongs to another word.
    package init(from body: inout JSONReader, canceledBy: String? = nil) throws(JSONError) {
        guard let word = Word(rawValue: try body.string("resolution")) else {
            let known = Word.allCases.map(\.rawValue).joined(separator: ", ")
            throw body.error("resolution", "must be one of \(known)")
        }
        let plan = try body.plan("plan")
        let role: AgentRole? = try body.optionalName("role")
        let seconds = try body.optionalInt("timeout_seconds")
        let reason = try body.reason("reason")
        for (field, isThere, words) in [
            ("plan", plan != nil, [Word.retry, .reassign, .lowerScope, .raiseDeadline]),
            ("role", role != nil, [.reassign]), ("timeout_seconds", seconds != nil, [.raiseDeadline]),
            ("reason", reason != nil, [.reject, .cancel]),
        ] where isThere && !words.contains(word) {
            throw body.error(field, "goes with \(words.map(\.rawValue).joined(separator: ", "))")
        }
        func required<Value>(_ field: String, _ value: Value?) throws(JSONError) -> Value {
            guard let value else { throw body.error(field, "is required with \(word.rawValue)") }
            return value
        }
        switch word {
        case .retry: self = .retry(plan: plan)
        case .reassign: self = .reassign(try required("role", role), plan: plan)
        case .lowerScope: self = .lowerScope(plan: try required("plan", plan))
        case .raiseDeadline:
            let seconds = try required("timeout_seconds", seconds)
            guard Self.secondsRange.contains(seconds) else {
                throw body.error(
                    "timeout_seconds",
                    "must be from \(Self.secondsRange.lowerBound) to \(Self.secondsRange.upperBound)")
            }
            self = .raiseDeadline(seconds: seconds, plan: plan)
        case .approve: self = .approve
        case .reject: self = .reject(reason: try required("reason", reason))
        case .cancel: self = .cancel(reason: try required("reason", reason ?? canceledBy.map { "canceled by \($0)" }))
        }
    }

    /// The fields that `init(from:)` reads.
    package func write(to writer: inout JSONWriter) {
        writer.field("resolution", word.rawValue)
        writer.field(ifPresent: "plan", plan)
        switch self {
        case .reassign(let role, _): writer.field("role", role.text)
        case .raiseDeadline(let seconds, _): writer.field("timeout_seconds", seconds)
        case .reject(let reason), .cancel(let reason): writer.field("reason", reason)
        case .retry, .lowerScope, .approve: break
        }
    }

    package var json: JSON { JSONWriter.object { write(to: &$0) } }
}

extension JSONReader {
    fileprivate mutating func plan(_ field: String) throws(JSONError) -> JSON? {
        guard let plan = optional(field) else { return nil }
        guard plan.bytes.count <= Resolution.planBytesMax else {
            throw error(field, "must not be longer than \(Resolution.planBytesMax) bytes")
        }
        return plan
    }

    fileprivate mutating func reason(_ field: String) throws(JSONError) -> String? {
        guard let reason = try optionalString(field) else { return nil }
        guard Resolution.reasonRange.contains(reason.unicodeScalars.count) else {
            throw error(
                field,
                "must be \(Resolution.reasonRange.lowerBound) to \(Resolution.reasonRange.upperBound) characters")
        }
        return reason
    }
}
