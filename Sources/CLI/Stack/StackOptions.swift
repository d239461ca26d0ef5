internal import FoundationEssentials

/// What `golden up` was asked for.
struct StackOptions: Sendable, Equatable {
    static let orchestratorsMax = 16
    static let orchestratorsDefault = 1
    static let agentsMax = 64
    static let slotsRange: ClosedRange<Int> = 1...10_000
    static let slotsDefault = 4

    /// An agent that runs a program for each work item.
    struct Agent: Sendable, Equatable {
        static let ownerDefault = "local"

        let role: String
        /// Whose it is: agents of one owner do not review each other's work.
        var owner = Self.ownerDefault
        /// For `sh -c`.
        let command: String
    }

    var folder: StackFolder
    /// Nil: the port of last time, or 8080. 0: any free one.
    var port: Int?
    var orchestrators = Self.orchestratorsDefault
    var agents: [Agent] = []
    var slots = Self.slotsDefault
    /// Where the agents' commands run.
    var workFolder = FileManager.default.currentDirectoryPath
    /// Three NATS servers, two of Redis and two of Postgres, any of which may be lost.
    var isCluster = false
    /// Handed to every service.
    var environment: [String: String] = [:]
    /// None of orchestrators, agents, slots and environment was given: they are to be those of last time.
    var isAsLastTime = false
    /// Nil: without Prometheus, Alertmanager and dashboards.
    var observability: Observability.Options?
}
