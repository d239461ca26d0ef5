/// A Kubernetes resource's amount: `250m`, `2`, `64Gi`.
package enum KubernetesQuantity {
    /// Thousandths of suffixes that are powers of ten and two, as Kubernetes writes them.
    private static let factors: [String: Double] = [
        "n": 1e-6, "u": 1e-3, "m": 1, "": 1e3, "k": 1e6, "M": 1e9, "G": 1e12, "T": 1e15, "P": 1e18,
        "Ki": 1e3 * 1024, "Mi": 1e3 * 1_048_576, "Gi": 1e3 * 1_073_741_824, "Ti": 1e3 * 1_099_511_627_776,
        "Pi": 1e3 * 1_125_899_906_842_624,
    ]

    /// Thousandths, rounded up; nil for anything else than a quantity that is not negative.
    package static func thousandths(_ text: String) -> Int? {
        let digits = text.prefix { $0.isASCII && ($0.isNumber || $0 == ".") }
        guard let number = Double(digits) else { return nil }
        let suffix = String(text.dropFirst(digits.count))
        guard let factor = factors[suffix] ?? exponent(suffix) else { return nil }
        let value = (number * factor).rounded(.up)
        return value < Double(Int.max) ? Int(value) : nil
    }

    /// `e3`, `E3`
    private static func exponent(_ suffix: String) -> Double? {
        guard let first = suffix.first, "eE".contains(first), let power = Int(suffix.dropFirst()), abs(power) <= 15
        else { return nil }
        return (0..<abs(power)).reduce(1e3) { value, _ in power > 0 ? value * 10 : value / 10 }
    }
}

extension PreflightFacts {
    /// CPU and memory, in thousandths: of a CPU, of a byte.
    package struct Amount: Sendable, Equatable {
        package var cpu: Int
        package var memory: Int

        package init(cpu: Int = 0, memory: Int = 0) {
            self.cpu = cpu
            self.memory = memory
        }

        /// What is too large to count stays as large as can be.
        package static func + (left: Self, right: Self) -> Self {
            func sum(_ left: Int, _ right: Int) -> Int {
                let (sum, isOver) = left.addingReportingOverflow(right)
                return isOver ? Int.max : sum
            }
            return Self(cpu: sum(left.cpu, right.cpu), memory: sum(left.memory, right.memory))
        }

        package static func - (left: Self, right: Self) -> Self {
            Self(cpu: max(left.cpu, 0) - right.cpu, memory: max(left.memory, 0) - right.memory)
        }

        package static func * (amount: Self, count: Int) -> Self {
            func product(_ value: Int) -> Int {
                let (product, isOver) = value.multipliedReportingOverflow(by: max(0, count))
                return isOver ? Int.max : product
            }
            return Self(cpu: product(amount.cpu), memory: product(amount.memory))
        }

        package func fits(into other: Self) -> Bool { cpu <= other.cpu && memory <= other.memory }

        /// At least as much of both.
        package func covering(_ other: Self) -> Self {
            Self(cpu: max(cpu, other.cpu), memory: max(memory, other.memory))
        }

        /// `1.5 CPU, 2048 MiB`
        package var text: String {
            "\(cpu / 1000).\(abs(cpu) % 1000 / 100) CPU, \(memory / 1000 / 1_048_576) MiB"
        }
    }

    /// Pods of one kind that the release runs.
    package struct Deployment: Sendable, Equatable {
        package let component: String
        /// More than any cluster runs.
        private static let podsMax = 1_000_000

        /// As its scaler starts it.
        package let pods: Int
        /// Old and new pods run side by side until the last step, not only one at a time.
        package let isCanary: Bool
        package let requests: Amount
        package let limits: Amount
        /// Labels that a node must have.
        package let nodeSelector: [String: String]
        /// Keys of taints that it bears; `*` for all.
        package let tolerations: Set<String>

        package init(
            component: String, pods: Int, isCanary: Bool, requests: Amount, limits: Amount = Amount(),
            nodeSelector: [String: String] = [:], tolerations: Set<String> = []
        ) {
            self.component = component
            self.pods = min(max(0, pods), Self.podsMax)
            self.isCanary = isCanary
            self.requests = requests
            self.limits = limits
            self.nodeSelector = nodeSelector
            self.tolerations = tolerations
        }
    }

    /// What a cluster has, and who uses it, as `kubectl get nodes,pods,resourcequotas,namespaces -A -o json` says it.
    package struct Cluster: Sendable, Equatable {
        package struct Node: Sendable, Equatable {
            package let name: String
            /// Ready, and takes new pods.
            package let isUsable: Bool
            package let labels: [String: String]
            /// Keys of taints that keep pods away.
            package let taints: Set<String>
            /// Allocatable less what its pods ask for.
            package var left: Amount
            package var podsLeft: Int

            package init(
                name: String, isUsable: Bool = true, labels: [String: String] = [:], taints: Set<String> = [],
                left: Amount, podsLeft: Int
            ) {
                self.name = name
                self.isUsable = isUsable
                self.labels = labels
                self.taints = taints
                self.left = left
                self.podsLeft = podsLeft
            }
        }

        /// What the namespace's quotas leave, by their own words for it: `requests.cpu`, `limits.memory`, `pods`; in
        /// thousandths.
        package struct Quota: Sendable, Equatable {
            package let name: String
            package let left: [String: Int]

            package init(name: String, left: [String: Int]) {
                self.name = name
                self.left = left
            }
        }

        /// Whether the release's namespace is among what was listed.
        package enum Namespace: Sendable, Equatable {
            case there
            /// Namespaces were listed, and this one is not among them.
            case absent(String)
            /// Nothing of what was listed is in it, and no namespaces were.
            case unseen(String)
        }

        package let nodes: [Node]
        package let quotas: [Quota]
        /// Pods of the release that have a node, by component.
        package let running: [String: Int]
        package let namespace: Namespace

        package init(
            nodes: [Node], quotas: [Quota] = [], running: [String: Int] = [:], namespace: Namespace = .there
        ) {
            self.nodes = nodes
            self.quotas = quotas
            self.running = running
            self.namespace = namespace
        }
    }
}
