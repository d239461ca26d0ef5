package import Bootstrap
package import Contracts

/// The one table of streams and durable consumers.
///
/// Every stream lies in files, is replicated as configured, deduplicates by message id for two minutes and is
/// bounded in bytes. What happens at the bound is `discard`: `.new` refuses publishers, who keep their message in
/// Postgres and try again; `.old` drops the oldest, which by then were read or can be derived again.
package enum BusTopology {
    /// The largest message of any stream but the dead letters', headers included: 1 MiB of output and its envelope.
    package static let messageBytesMax = 2 << 20
    package static let duplicateWindow: Duration = .seconds(120)
    package static let ackWait: Duration = .seconds(30)
    /// A process gives a message up after this many deliveries that it failed to handle. Work is not counted here but
    /// in Postgres.
    package static let deliveriesMax = 5
    /// Nobody may do work whose deadline has passed, and the longest attempt's is a day away. The rest is for what was
    /// late to be stored.
    package static let workAgeMax = Duration.seconds(TaskSubmission.timeoutRange.upperBound) + .hours(1)

    package enum StreamName: String, Sendable, CaseIterable {
        case work = "WORK"
        case results = "RESULTS"
        case reviews = "PRC"
        case escalations = "ESCALATIONS"
        case sandbox = "SANDBOX"
        case deadLetters = "DLQ"
        case advisories = "DLQ_ADVISORIES"
    }

    package enum Retention: String, Sendable {
        case limits
        case workQueue = "workqueue"
    }

    package enum Discard: String, Sendable { case old, new }

    package struct Stream: Sendable {
        package let name: StreamName
        package let subject: String
        package let retention: Retention
        package let discard: Discard
        /// Nil keeps messages until they are taken.
        package let maxAge: Duration?
        package let messageBytesMax: Int
        /// Of `BusConfiguration.storageBytesMax`, in thirty-seconds.
        package let storageShare: Int
    }

    package struct Consumer: Sendable, Equatable {
        package let stream: StreamName
        package let name: String
        /// Nil takes every subject of the stream.
        package let filter: String?
        package let ackWait: Duration
        /// Delivered and not yet acknowledged, over all processes.
        package let ackPendingMax: Int
        /// Pull requests waiting at the server, over all processes.
        package let waitingMax: Int
    }

    package static let streams: [Stream] = [
        stream(.work, Subject.Pattern.allWork, .workQueue, .new, maxAge: workAgeMax, share: 11),
        stream(.results, Subject.Pattern.allResults, .limits, .old, maxAge: .hours(24), share: 11),
        stream(.reviews, Subject.Pattern.allReviews, .limits, .old, maxAge: .hours(24), share: 2),
        stream(.escalations, Subject.Pattern.allSupervisor, .limits, .old, maxAge: .hours(7 * 24), share: 2),
        stream(.sandbox, Subject.Pattern.allSandbox, .limits, .old, maxAge: .hours(24), share: 2),
        // A dead letter is its message and the headers that tell its story. Refusing beats losing the last copy.
        stream(
            .deadLetters, Subject.Pattern.allDeadLetters, .limits, .new, maxAge: .hours(30 * 24),
            messageBytesMax: messageBytesMax + (64 << 10), share: 3
        ),
        stream(
            .advisories, Subject.Pattern.deliveriesExhausted, .limits, .old, maxAge: .hours(7 * 24),
            messageBytesMax: 64 << 10, share: 1
        ),
    ]

    /// The durable consumer that all agents of a role share.
    ///
    /// No `max_deliver`: attempts are counted in Postgres, and server 2.9.10 can wedge a consumer that has it.
    package static func work(_ role: AgentRole) -> Consumer {
        Consumer(
            stream: .work, name: "work-\(role)", filter: Subject.work(role).text, ackWait: ackWait,
            ackPendingMax: 20_000, waitingMax: 8192
        )
    }

    /// All orchestrators share it.
    package static let orchestratorResults = Consumer(
        stream: .results, name: "orchestrator-results", filter: nil, ackWait: ackWait, ackPendingMax: 8192,
        waitingMax: 512
    )

    /// All peer hubs share it: sessions to open.
    package static let hubRequests = Consumer(
        stream: .reviews, name: "peer-hub-requests", filter: Subject.Pattern.reviewRequests, ackWait: ackWait,
        ackPendingMax: 1024, waitingMax: 512
    )

    /// All peer hubs share it: reviewers' reports.
    package static let hubResponses = Consumer(
        stream: .reviews, name: "peer-hub-responses", filter: Subject.Pattern.reviewResponses, ackWait: ackWait,
        ackPendingMax: 8192, waitingMax: 512
    )

    /// All supervisors share it: what was escalated.
    package static let supervisorEscalations = Consumer(
        stream: .escalations, name: "supervisor-escalations", filter: Subject.escalation.text, ackWait: ackWait,
        ackPendingMax: 1024, waitingMax: 512
    )

    /// All supervisors share it: analysts' reports.
    package static let supervisorAnalyses = Consumer(
        stream: .escalations, name: "supervisor-analyses", filter: Subject.Pattern.analyses, ackWait: ackWait,
        ackPendingMax: 1024, waitingMax: 512
    )

    /// All orchestrators share it: what supervisors decided.
    package static let orchestratorResolutions = Consumer(
        stream: .escalations, name: "orchestrator-resolutions", filter: Subject.Pattern.resolutions, ackWait: ackWait,
        ackPendingMax: 1024, waitingMax: 512
    )

    /// All peer hubs share it: sessions nobody waits for any more.
    package static let hubCancels = Consumer(
        stream: .reviews, name: "peer-hub-cancels", filter: Subject.Pattern.reviewCancels, ackWait: ackWait,
        ackPendingMax: 1024, waitingMax: 512
    )

    /// All orchestrators share it: what became of reviews.
    package static let orchestratorDecisions = Consumer(
        stream: .reviews, name: "orchestrator-decisions", filter: Subject.Pattern.reviewDecisions, ackWait: ackWait,
        ackPendingMax: 8192, waitingMax: 512
    )

    /// All dlq-workers share it: letters to file.
    package static let deadLetterFiler = Consumer(
        stream: .deadLetters, name: "dlq-worker", filter: nil, ackWait: ackWait, ackPendingMax: 2048, waitingMax: 64
    )

    /// All dlq-workers share it: what consumers that are not ours have given up on.
    package static let advisoryFiler = Consumer(
        stream: .advisories, name: "dlq-worker-advisories", filter: nil, ackWait: ackWait, ackPendingMax: 1024,
        waitingMax: 64
    )

    /// All orchestrators share it: how runs of tasks' tests ended.
    package static let orchestratorExecutions = Consumer(
        stream: .sandbox, name: "orchestrator-executions", filter: Subject.Pattern.sandboxResults, ackWait: ackWait,
        ackPendingMax: 1024, waitingMax: 512
    )

    /// All sandbox executors share it.
    package static let sandboxRequests = Consumer(
        stream: .sandbox, name: "sandbox-executor", filter: Subject.sandboxExecute.text, ackWait: ackWait,
        ackPendingMax: 1024, waitingMax: 512
    )

    /// The consumers that exist from the start; `work(_:)` ones come with their role.
    package static let consumers: [Consumer] = [
        orchestratorResults, orchestratorDecisions, hubRequests, hubResponses, hubCancels, supervisorEscalations,
        supervisorAnalyses, orchestratorResolutions, deadLetterFiler, advisoryFiler, sandboxRequests,
        orchestratorExecutions,
    ]

    private static func stream(
        _ name: StreamName, _ subject: String, _ retention: Retention, _ discard: Discard, maxAge: Duration?,
        messageBytesMax: Int = messageBytesMax, share: Int
    ) -> Stream {
        Stream(
            name: name, subject: subject, retention: retention, discard: discard, maxAge: maxAge,
            messageBytesMax: messageBytesMax, storageShare: share
        )
    }
}

/// What an installation decides about its streams.
package struct BusConfiguration: Sendable {
    package static let storageShares = 32

    /// Copies of every stream in a cluster: 1, 3 or 5.
    package var replicas: Int
    /// The bytes all streams together may reserve on disk.
    package var storageBytesMax: Int
    /// False for agents: they wait for streams instead of making them, and make their role's consumer only.
    package var ownsStreams: Bool
    /// Hears of every message that belongs to a trace.
    package var tracer = Tracer.off

    package init(replicas: Int = 1, storageBytesMax: Int = 1 << 30, ownsStreams: Bool = true) {
        self.replicas = replicas
        self.storageBytesMax = storageBytesMax
        self.ownsStreams = ownsStreams
    }
}

extension Duration {
    fileprivate static func hours(_ count: Int) -> Duration { .seconds(count * 3600) }

    var wholeNanoseconds: Int {
        let parts = components
        return Int(parts.seconds) * 1_000_000_000 + Int(parts.attoseconds / 1_000_000_000)
    }
}
