package import Contracts
package import FoundationEssentials

/// One run of a program as it is kept.
package struct Execution: Sendable, Equatable {
    package enum State: String, Sendable, CaseIterable { case queued, running, ended }

    package struct Ending: Sendable, Equatable {
        package let status: SandboxStatus
        /// The outcome's fields.
        package let result: JSON
        /// How its output was told, as `Pieces` writes it; nil when no executor has ended it.
        package let pieces: String?
        package let at: Date

        /// Nil when the stored result is of a form this build does not know.
        package var outcome: SandboxOutcome? {
            do throws(JSONError) {
                var reader = try JSONReader(result)
                return try SandboxOutcome(from: &reader)
            } catch {
                return nil
            }
        }
    }

    package let id: ExecutionID
    package let tenant: TenantID
    package let caller: String
    package let task: TaskID?
    package let attempt: Int?
    package let language: String
    package let traceparent: String?
    package let state: State
    package let createdAt: Date
    /// How often it was begun.
    package let tries: Int
    package let startedAt: Date?
    package let isCancelRequested: Bool
    /// Nil until it has ended.
    package let ending: Ending?
    package let requestHash: [UInt8]

    /// The try whose events tell its end. Where no executor has ended it that is the one after all that were begun, so
    /// that its end comes after whatever they have told.
    package var lastTry: Int {
        guard let ending, ending.pieces == nil else { return tries }
        return tries + 1
    }
}

/// A run that is to be kept and done.
package struct NewExecution: Sendable {
    package let id: ExecutionID
    package let tenant: TenantID
    package let caller: String
    package var task: TaskID?
    package var attempt: Int?
    package let language: String
    /// The program as JSON.
    package let request: JSON
    /// SHA-256 of the request.
    package let requestHash: [UInt8]
    package let traceparent: String?

    package init(
        id: ExecutionID, tenant: TenantID, caller: String, task: TaskID? = nil, attempt: Int? = nil, language: String,
        request: JSON, requestHash: [UInt8], traceparent: String?
    ) {
        self.id = id
        self.tenant = tenant
        self.caller = caller
        self.task = task
        self.attempt = attempt
        self.language = language
        self.request = request
        self.requestHash = requestHash
        self.traceparent = traceparent
    }
}

package enum ExecutionAdmission: Sendable {
    case accepted(Execution)
    /// There is one of this id, of this tenant or another.
    case exists(Execution)
    /// The tenant has as many waiting as it may.
    case full
}

/// A run that one executor may do until its lease ends.
package struct ClaimedExecution: Sendable {
    package let execution: Execution
    package let request: JSON
}
