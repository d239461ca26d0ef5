/// What the stores, certificates and manifests of one environment said of themselves: everything that
/// `PreflightRules` judges. It holds no secret, only how strong one is.
package struct PreflightFacts: Sendable {
    /// An answer, or why there is none.
    package enum Probe<Facts: Sendable>: Sendable {
        case answered(Facts)
        case unreachable(String)
        /// Nobody said where it is.
        case notAsked(String)
    }

    package let environment: DeployEnvironment
    package let atSeconds: Int
    package var postgres = Probe<Postgres>.notAsked("no database was named")
    package var redis = Probe<Redis>.notAsked("no Redis was named")
    package var nats = Probe<NATS>.notAsked("no NATS was named")
    package var chart = Probe<Chart>.notAsked("no rendered manifests were named")
    package var cluster = Probe<Cluster>.notAsked("no cluster was named")
    package var compatibility = Probe<Compatibility>.notAsked("no compatibility matrix was named")
    package var secrets: [Secret] = []
    package var certificates: [Certificate] = []
    package var services: [Service] = []
    /// The release is deployed already: whoever consumes must be there.
    package var isAfterDeploy = false
    /// The release is about to bring what it needs: migrations and streams that are missing are no fault yet.
    package var isBeforeUpgrade = false

    package init(environment: DeployEnvironment, atSeconds: Int) {
        self.environment = environment
        self.atSeconds = atSeconds
    }

    package struct Postgres: Sendable {
        /// A table whose rows are never changed.
        package struct AppendOnlyTable: Sendable {
            package let name: String
            package let exists: Bool
            /// The service's user has a grant to update, delete or truncate.
            package let isGranted: Bool
            /// A trigger refuses changes, and is enabled.
            package let isGuarded: Bool

            package init(name: String, exists: Bool, isGranted: Bool, isGuarded: Bool) {
                self.name = name
                self.exists = exists
                self.isGranted = isGranted
                self.isGuarded = isGuarded
            }
        }

        package struct Migrations: Sendable {
            package let applied: Int
            package let pending: [String]
            /// Changed since they were applied, or applied by a newer build.
            package let strange: [String]

            package init(applied: Int, pending: [String], strange: [String]) {
                self.applied = applied
                self.pending = pending
                self.strange = strange
            }
        }

        /// 15.4 is 150004.
        package var version = 0
        /// `TLSv1.3`; nil for a plain connection.
        package var tls: String?
        /// The connection string asks for the server's name to be verified.
        package var isVerified = false
        /// Whether a connection without the password was refused; nil when that could not be tried.
        package var asksForPassword: Bool?
        package var user = ""
        /// What the user may beyond its own tables: `superuser`, `createdb`, `createrole`, `replication`, `bypassrls`.
        package var powers: [String] = []
        package var isReplica = false
        package var connectionsMax = 0
        package var connectionsReserved = 0
        package var synchronousCommit = ""
        /// Milliseconds from which on a statement is logged; -1 for never.
        package var slowQueryMilliseconds = -1
        package var appendOnly: [AppendOnlyTable] = []
        package var migrations = Migrations(applied: 0, pending: [], strange: [])

        package init() {}
    }

    package struct Redis: Sendable {
        package var version = ""
        package var isEncrypted = false
        package var asksForPassword: Bool?
        package var isMaster = true
        package var isAppendOnly = false
        /// `everysec`; nil when the server does not tell (managed ones refuse CONFIG).
        package var fsync: String?
        package var memoryMaxBytes = 0
        package var memoryPolicy = ""
        package var keys = 0
        package var keysExpiring = 0
        /// Whether a key with a time to live was gone after it.
        package var expires = false

        package init() {}
    }

    package struct NATS: Sendable {
        /// A stream or consumer that is not as declared.
        package struct Drift: Sendable {
            package let object: String
            package let isMissing: Bool
            package let differences: String

            package init(object: String, isMissing: Bool, differences: String) {
                self.object = object
                self.isMissing = isMissing
                self.differences = differences
            }
        }

        package struct Consumer: Sendable {
            package let name: String
            /// Pull requests waiting at the server; nil when it does not exist.
            package let pullsWaiting: Int?

            package init(name: String, pullsWaiting: Int?) {
                self.name = name
                self.pullsWaiting = pullsWaiting
            }
        }

        package var isEncrypted = false
        package var asksForPassword: Bool?
        package var payloadBytesMax = 0
        package var payloadBytesWanted = 0
        package var streamsDeclared = 0
        package var consumersDeclared = 0
        /// Copies of each stream, as this release would make them.
        package var replicas = 0
        /// Why JetStream did not tell; nil when it did.
        package var jetStreamFault: String?
        package var drift: [Drift] = []
        package var consumers: [Consumer] = []

        package init() {}
    }

    package struct Chart: Sendable {
        /// What may ask Postgres for connections.
        package struct Workload: Sendable, Equatable {
            package let name: String
            /// One more than its scaler allows, which a rollout starts.
            package let podsMax: Int
            package let connectionsPerPod: Int

            package init(name: String, podsMax: Int, connectionsPerPod: Int) {
                self.name = name
                self.podsMax = podsMax
                self.connectionsPerPod = connectionsPerPod
            }
        }

        package let workloads: [Workload]
        /// Kept back for backups, migrations and people.
        package let connectionsKept: Int
        /// Everything that runs pods, whether it asks Postgres or not.
        package let deployments: [Deployment]

        package init(workloads: [Workload], connectionsKept: Int, deployments: [Deployment] = []) {
            self.workloads = workloads
            self.connectionsKept = connectionsKept
            self.deployments = deployments
        }

        package var connectionsMax: Int { workloads.reduce(0) { $0 + $1.podsMax * $1.connectionsPerPod } }
    }

    /// Which versions may run beside each other, and which is released.
    package struct Compatibility: Sendable {
        package let matrix: CompatibilityMatrix
        package let version: Version

        package init(matrix: CompatibilityMatrix, version: Version) {
            self.matrix = matrix
            self.version = version
        }
    }

    package struct Certificate: Sendable {
        package let place: String
        /// Nil when it could not be seen.
        package let endsSeconds: Int?
        package let fault: String?

        package init(place: String, endsSeconds: Int?, fault: String? = nil) {
            self.place = place
            self.endsSeconds = endsSeconds
            self.fault = fault
        }
    }

    package struct Service: Sendable {
        package let url: String
        package let isReady: Bool
        package let detail: String

        package init(url: String, isReady: Bool, detail: String) {
            self.url = url
            self.isReady = isReady
            self.detail = detail
        }
    }
}
