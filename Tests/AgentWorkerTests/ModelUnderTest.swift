import AgentWorkerCore
import Contracts
import Coordination
import Foundation
import Synchronization
import Testing

@testable import AgentWorkerService

/// The back end alone, in front of an endpoint that a script plays.
struct ModelUnderTest: Sendable {
    let server: ModelServer
    let backend: ModelBackend
    let registry: BreakerRegistry
    let progress = Progresses()

    final class Progresses: Sendable {
        private let all = Mutex<[StderrReader.Progress]>([])
        let stream: AsyncStream<StderrReader.Progress>
        private let input: AsyncStream<StderrReader.Progress>.Continuation

        init() { (stream, input) = AsyncStream.makeStream() }

        func add(_ progress: StderrReader.Progress) {
            all.withLock { $0.append(progress) }
            input.yield(progress)
        }

        var count: Int { all.withLock { $0.count } }
    }

    static func run(
        _ script: @escaping ModelServer.Script, adjust: @escaping @Sendable (inout ModelSettings) -> Void = { _ in },
        _ body: @escaping @Sendable (ModelUnderTest) async throws -> Void
    ) async throws {
        try await ModelServer.run(script) { server in
            var settings = try #require(ModelSettings(base: server.url, model: "model-1"))
            settings.key = secretKey
            settings.tries = 1
            settings.progressInterval = .milliseconds(20)
            adjust(&settings)
            let client = ModelClient(settings, slots: 4)
            let registry = BreakerRegistry(
                redis: nil, replica: "test", replicas: { 1 }, logger: quietLogger,
                settings: BreakerRegistry.Settings(policy: settings.policy)
            )
            let backend = ModelBackend(
                client: client, breaker: try registry.breaker(settings.breaker), intake: AsyncStream { _ in },
                logger: quietLogger
            )
            do {
                try await body(ModelUnderTest(server: server, backend: backend, registry: registry))
            } catch {
                try await client.shutDown()
                throw error
            }
            try await client.shutDown()
        }
    }

    static let secretKey = "sk-only-for-this-test"

    func work(
        _ input: String = "\"Why?\"", seconds: TimeInterval = 60, budget: Int? = nil, prompt: String? = nil,
        kind: String = "work", plan: String? = nil, previous: String? = nil, stop: StopSignal = StopSignal()
    ) async throws -> WorkEnd {
        let item = WorkItem(
            task: newTask(), tenant: TenantID(literal: "acme"), workflow: WorkflowName(literal: "single"),
            stage: "work",
            kind: kind, role: developer, attempt: 1, leaseToken: "lease",
            deadline: Date().addingTimeInterval(seconds),
            budgetLeft: budget, prompt: prompt, input: try JSON(parsing: input.utf8),
            plan: try plan.map { try JSON(parsing: $0.utf8) }, previous: try previous.map { try JSON(parsing: $0.utf8) }
        )
        let assignment = Assignment(item: item, bytes: Array(item.json.bytes), stop: stop) { progress.add($0) }
        return await backend.work(on: assignment)
    }

    /// Of the breaker, in its ten seconds.
    var counted: [Int] { registry.statuses.flatMap { [$0.calls, $0.failures, $0.slow] } }
}

extension WorkEnd {
    var output: JSON? { if case .reported(.completed(let output, _)) = self { output } else { nil } }

    var failure: AgentReport.Failure? { if case .reported(.failed(let failure)) = self { failure } else { nil } }

    var isHandedBack: Bool { if case .handedBack = self { true } else { false } }

    var isStopped: Bool { if case .stopped = self { true } else { false } }
}
