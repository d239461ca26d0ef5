internal import Contracts
internal import Postgres

/// Admits tasks together with what is held for them, in one transaction: parents, holds, accounts, keys, tasks.
///
/// That is also the order in which everybody locks them, so that no two transactions wait for each other in a circle.
struct BudgetedAdmissions {
    enum Verdict: Sendable {
        case admitted
        /// Its idempotency key is taken, or a budget stands over it that nothing was to be held on.
        case notInserted
        case denied(Reservation, BudgetDenial)
        case orphaned(OrphanReason)

        var isAdmitted: Bool { if case .admitted = self { true } else { false } }
    }

    private let admissions: [Admission]
    private var verdicts: [Verdict]
    /// What each parent may still give away.
    private var left: [TaskID: Int] = [:]

    /// Whether tasks need more than `AdmitTasks` alone.
    static func isNeeded(for admissions: [Admission]) -> Bool {
        admissions.contains { $0.hold != nil || $0.task.parent != nil }
    }

    init(_ admissions: [Admission]) {
        self.admissions = admissions
        verdicts = Array(repeating: .admitted, count: admissions.count)
    }

    mutating func run(in tx: borrowing PostgresTransaction) throws -> [Verdict] {
        let parents = try lockParents(in: tx)
        // Looked at before anything is held, since a hold cannot be taken back from within.
        for place in try tx.execute(FindTakenKeys(admissions: admissions)) { verdicts[place] = .notInserted }
        let twins = setTwinsAside()
        for place in open { adopt(place, parents) }
        try hold(parents, in: tx)
        let places = open
        let inserted = Set(try tx.execute(AdmitTasks(admissions: places.map { admissions[$0] })))
        for place in places where !inserted.contains(admissions[place].task.id) {
            guard admissions[place].hold == nil else {
                // Another replica took the key since; as good as a serialization failure, and tried again like one.
                throw PostgresError(.serializationFailure, "An idempotency key was taken meanwhile. Nothing was kept.")
            }
            verdicts[place] = .notInserted
        }
        try takeFromParents(in: tx)
        for (place, first) in twins {
            if verdicts[first].isAdmitted { continue }
            verdicts[place] = verdicts[first]
        }
        return verdicts
    }

    /// Of admissions under one key the first is decided on; answers the others, each with its first.
    private mutating func setTwinsAside() -> [(place: Int, first: Int)] {
        var firsts: [[String]: Int] = [:]
        var twins: [(place: Int, first: Int)] = []
        for place in open {
            guard let key = admissions[place].key else { continue }
            let admission = admissions[place]
            let name = [admission.task.tenant.text, admission.keyOwner, key.text]
            if let first = firsts[name] {
                twins.append((place, first))
                verdicts[place] = .notInserted
            } else {
                firsts[name] = place
            }
        }
        return twins
    }

    private var open: [Int] {
        verdicts.indices.filter { verdicts[$0].isAdmitted }
    }

    private func lockParents(in tx: borrowing PostgresTransaction) throws -> [TaskID: TaskRecord] {
        let ids = Set(admissions.compactMap(\.task.parent))
        if ids.isEmpty { return [:] }
        try tx.enqueue(PrepareBatch())
        let locked = try tx.execute(LockTasks(ids: Array(ids)))
        return Dictionary(uniqueKeysWithValues: locked.map { ($0.id, $0) })
    }

    /// Checks a task against its parent, and takes its tokens out of what the parent has left.
    private mutating func adopt(_ place: Int, _ parents: [TaskID: TaskRecord]) {
        let task = admissions[place].task
        guard let id = task.parent else { return }
        guard let parent = parents[id], parent.tenant == task.tenant else {
            return verdicts[place] = .orphaned(.unknown)
        }
        if parent.state.isTerminal { return verdicts[place] = .orphaned(.ended(parent.state)) }
        if parent.project != task.project { return verdicts[place] = .orphaned(.otherProject(parent.project)) }
        guard let whole = parent.budgetLeft else { return }
        let rest = left[id] ?? whole
        guard let wanted = task.budgetTokens, wanted < rest else {
            return verdicts[place] = .orphaned(.tooLittleLeft(rest))
        }
        left[id] = rest - wanted
    }

    private mutating func hold(_ parents: [TaskID: TaskRecord], in tx: borrowing PostgresTransaction) throws {
        let places = open.filter { admissions[$0].hold != nil }
        let operations = places.compactMap { place -> BudgetBook.Operation? in
            let admission = admissions[place]
            guard let hold = admission.hold else { return nil }
            guard let parent = admission.task.parent.flatMap({ parents[$0] }), parent.budgetTokens != nil else {
                return .reserve(hold)
            }
            return .split(Reservation.Key(of: parent), hold)
        }
        if operations.isEmpty { return }
        var batch = BudgetBatch(operations)
        for (place, answer) in zip(places, try batch.apply(in: tx)) {
            switch (answer.kind, answer.reservation) {
            case (.reserved, _): break
            case (.denied, let reservation?):
                guard let denial = reservation.denial else { throw Self.undecided }
                verdicts[place] = .denied(reservation, denial)
            case (.mismatch, _): verdicts[place] = .orphaned(.tooLittleLeft(0))
            case (.denied, nil), (.replayed, _), (.deniedBefore, _), (.settled, _), (.conflict, _), (.unknown, _):
                throw Self.undecided
            }
        }
    }

    private static let undecided = StoreError(
        .guardFailed, "A new task's hold was there before the task. Nothing was accepted.")

    private func takeFromParents(in tx: borrowing PostgresTransaction) throws {
        var taken: [TaskID: Int] = [:]
        for place in open {
            let task = admissions[place].task
            guard let parent = task.parent, left[parent] != nil, let tokens = task.budgetTokens else { continue }
            taken[parent, default: 0] += tokens
        }
        if !taken.isEmpty { try tx.enqueue(LowerBudgets(by: taken)) }
    }
}

/// Takes tokens out of the budgets of tasks that the same transaction has locked.
struct LowerBudgets: PostgresStatement {
    let by: [TaskID: Int]

    static let sql = """
        UPDATE tasks t SET budget_tokens = t.budget_tokens - u.tokens
        FROM unnest($1::uuid[], $2::int8[]) AS u(id, tokens) WHERE t.id = u.id
        """

    func bind(to bindings: inout PostgresBindings) {
        bindings.uuids(by.keys.map(\.uuid))
        bindings.ints(Array(by.values))
    }
}
