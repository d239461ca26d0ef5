package import Contracts

/// How many tasks with one label may be at work at once, by tenant.
package struct LabelLimits: Sendable, Equatable {
    package static let none = LabelLimits(tenants: [:], others: [:])

    let tenants: [TenantID: [TaskLabel: Int]]
    /// Those of each tenant that has none of its own.
    let others: [TaskLabel: Int]
    package let isEmpty: Bool

    package init(tenants: [TenantID: [TaskLabel: Int]], others: [TaskLabel: Int]) {
        self.tenants = tenants
        self.others = others
        isEmpty = others.isEmpty && tenants.values.allSatisfy(\.isEmpty)
    }

    /// Empty when nothing limits the tenant's labels.
    package func limits(of tenant: TenantID) -> [TaskLabel: Int] { tenants[tenant] ?? others }

    /// Which of a task's labels are limited, in order.
    package func limited(_ labels: [String: String], of tenant: TenantID) -> [TaskLabel] {
        let limits = limits(of: tenant)
        if limits.isEmpty { return [] }
        return labels.map { TaskLabel(name: $0.key, value: $0.value) }.filter { limits[$0] != nil }.sorted()
    }
}

/// What is left of the limits while tasks are chosen.
struct LabelRoom {
    private let limits: LabelLimits
    private var left: [TenantID: [TaskLabel: Int]] = [:]

    init(_ limits: LabelLimits, running: [LabelCount]) {
        self.limits = limits
        for count in running {
            left[count.tenant, default: limits.limits(of: count.tenant)][count.label, default: 0] -= count.count
        }
    }

    func room(_ label: TaskLabel, of tenant: TenantID) -> Int {
        max(0, (left[tenant] ?? limits.limits(of: tenant))[label] ?? .max)
    }

    /// Takes room for one task under all its labels; answers the one that has none, and takes nothing then.
    mutating func take(_ labels: [String: String], of tenant: TenantID) -> TaskLabel? {
        let limited = limits.limited(labels, of: tenant)
        if let full = limited.first(where: { room($0, of: tenant) == 0 }) { return full }
        for label in limited { left[tenant, default: limits.limits(of: tenant)][label, default: 0] -= 1 }
        return nil
    }
}

/// How many tasks with that label are at work.
struct LabelCount: Sendable {
    let tenant: TenantID
    let label: TaskLabel
    let count: Int
}
