internal import Contracts
internal import FoundationEssentials
internal import Storage
internal import Synchronization

/// The workflows this replica knows: those every installation has, and the tenants' versions it has met.
///
/// A version is never changed, so what was read once is right for ever, and what was not is read when it is met.
final class WorkflowCatalogue: Sendable {
    /// Tenants' versions kept at once; beyond it all are forgotten and read again as they are met.
    static let keptMax = 10_000

    private struct Key: Hashable {
        let tenant: TenantID
        let name: WorkflowName
        let version: Int
    }

    private let builtIn: [WorkflowName: [Workflow]]
    private let store: WorkflowStore
    private let kept = Mutex<[Key: Workflow]>([:])

    init(store: WorkflowStore, builtIn: [Workflow] = Workflow.builtIn) {
        self.store = store
        self.builtIn = Dictionary(grouping: builtIn, by: \.name).mapValues { $0.sorted { $0.version < $1.version } }
    }

    var builtInNames: [WorkflowName] { builtIn.keys.sorted() }

    /// The newest version of a workflow every installation has.
    func builtIn(_ name: WorkflowName) -> Workflow? { builtIn[name]?.last }

    /// The version a task goes through; nil while this replica has not met it: then `meet` the task.
    func find(_ task: TaskRecord) -> Workflow? {
        if let versions = builtIn[task.workflow] { return versions.first { $0.version == task.workflowVersion } }
        let key = Key(tenant: task.tenant, name: task.workflow, version: task.workflowVersion)
        return kept.withLock { $0[key] }
    }

    /// What a new task of that name goes through.
    func newest(_ name: WorkflowName, tenant: TenantID) async throws -> Workflow? {
        if let versions = builtIn[name] { return versions.last }
        guard let stored = try await store.newest(name, tenant: tenant) else { return nil }
        keep([stored])
        return stored.workflow
    }

    /// Reads the workflows of these tasks, so that `find` knows them.
    func meet(_ tasks: [TaskID]) async throws {
        if !tasks.isEmpty { keep(try await store.used(by: tasks)) }
    }

    /// The workflows of these tasks, read where they are not known yet.
    func find(_ tasks: [TaskRecord]) async throws -> [Workflow?] {
        try await meet(tasks.filter { find($0) == nil }.map(\.id))
        return tasks.map(find)
    }

    private func keep(_ stored: [StoredWorkflow]) {
        kept.withLock { kept in
            if kept.count + stored.count > Self.keptMax { kept = [:] }
            for stored in stored {
                let workflow = stored.workflow
                kept[Key(tenant: stored.tenant, name: workflow.name, version: workflow.version)] = workflow
            }
        }
    }
}
