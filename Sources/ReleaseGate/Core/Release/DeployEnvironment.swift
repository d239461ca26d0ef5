/// Where a release runs, in the order in which it gets there.
package enum DeployEnvironment: String, Sendable, Codable, CaseIterable, Comparable {
    case dev, staging, prod

    package static func < (left: Self, right: Self) -> Bool { left.rank < right.rank }

    private var rank: Int {
        switch self {
        case .dev: 0
        case .staging: 1
        case .prod: 2
        }
    }
}
