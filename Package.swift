// swift-tools-version: 6.2
import PackageDescription

let log: Target.Dependency = .product(name: "Logging", package: "swift-log")
let lifecycle: Target.Dependency = .product(name: "ServiceLifecycle", package: "swift-service-lifecycle")
let signals: Target.Dependency = .product(name: "UnixSignals", package: "swift-service-lifecycle")
let hummingbird: Target.Dependency = .product(name: "Hummingbird", package: "hummingbird")
let hummingbirdCore: Target.Dependency = .product(name: "HummingbirdCore", package: "hummingbird")
let nioHTTP1: Target.Dependency = .product(name: "NIOHTTP1", package: "swift-nio")
let nioHTTPTypes: Target.Dependency = .product(name: "NIOHTTPTypes", package: "swift-nio-extras")
let httpTypes: Target.Dependency = .product(name: "HTTPTypes", package: "swift-http-types")
let nio: Target.Dependency = .product(name: "NIOCore", package: "swift-nio")
let nioPosix: Target.Dependency = .product(name: "NIOPosix", package: "swift-nio")
let nioSSL: Target.Dependency = .product(name: "NIOSSL", package: "swift-nio-ssl")
let jwt: Target.Dependency = .product(name: "JWTKit", package: "jwt-kit")
let crypto: Target.Dependency = .product(name: "Crypto", package: "swift-crypto")
let cryptoExtras: Target.Dependency = .product(name: "CryptoExtras", package: "swift-crypto")
let arguments: Target.Dependency = .product(name: "ArgumentParser", package: "swift-argument-parser")
let subprocess: Target.Dependency = .product(name: "Subprocess", package: "swift-subprocess")
let httpClient: Target.Dependency = .product(name: "AsyncHTTPClient", package: "async-http-client")
let configuration: Target.Dependency = .product(name: "Configuration", package: "swift-configuration")
let yams: Target.Dependency = .product(name: "Yams", package: "Yams")

let package = Package(
    name: "golden",
    dependencies: [
        .package(url: "https://github.com/apple/swift-log", exact: "1.16.2"),
        .package(url: "https://github.com/apple/swift-nio", exact: "2.101.2"),
        .package(url: "https://github.com/apple/swift-nio-ssl", exact: "2.37.6"),
        .package(url: "https://github.com/apple/swift-nio-extras", exact: "1.35.2"),
        .package(url: "https://github.com/apple/swift-http-types", exact: "1.8.0"),
        .package(url: "https://github.com/apple/swift-crypto", exact: "4.5.2"),
        .package(url: "https://github.com/apple/swift-argument-parser", exact: "1.8.2"),
        .package(url: "https://github.com/apple/swift-configuration", exact: "1.4.0", traits: []),
        .package(url: "https://github.com/hummingbird-project/hummingbird", exact: "2.28.1"),
        .package(url: "https://github.com/jpsim/Yams", exact: "6.2.2"),
        .package(url: "https://github.com/swift-server/swift-service-lifecycle", exact: "2.13.0"),
        .package(url: "https://github.com/swift-server/async-http-client", exact: "1.37.0"),
        .package(url: "https://github.com/swiftlang/swift-subprocess", exact: "1.0.2", traits: []),
        .package(url: "https://github.com/vapor/jwt-kit", exact: "5.7.1"),
    ],
    targets: [
        // 1. Words: what services, agents and clients say to each other.
        .target(name: "Contracts"),

        // 2. Decisions: pure, no I/O.
        .target(name: "OrchestratorCore", dependencies: ["Contracts"], path: "Sources/Services/Orchestrator/Core"),
        .target(name: "AgentWorkerCore", dependencies: ["Contracts"], path: "Sources/Services/AgentWorker/Core"),
        .target(name: "DLQWorkerCore", dependencies: ["Contracts"], path: "Sources/Services/DLQWorker/Core"),
        .target(name: "PeerHubCore", dependencies: ["Contracts"], path: "Sources/Services/PeerHub/Core"),
        .target(name: "SupervisorCore", dependencies: ["Contracts"], path: "Sources/Services/Supervisor/Core"),
        .target(
            name: "SandboxExecutorCore", dependencies: ["Contracts"], path: "Sources/Services/SandboxExecutor/Core"),
        // Crypto for SHA-256 alone, a pure function: digests, the lineage's chain and its Merkle tree.
        .target(name: "ReleaseGateCore", dependencies: ["Contracts", crypto], path: "Sources/ReleaseGate/Core"),

        // 3. Wires: C libraries, then Swift drivers that know nothing of tasks.
        .systemLibrary(name: "CNATS", path: "Sources/CLibraries/CNATS"),
        .systemLibrary(name: "CHiredis", path: "Sources/CLibraries/CHiredis"),
        .systemLibrary(name: "COpenSSL", path: "Sources/CLibraries/COpenSSL"),
        .systemLibrary(name: "CLibPQ", path: "Sources/CLibraries/CLibPQ", pkgConfig: "libpq"),
        .systemLibrary(name: "CLinux", path: "Sources/CLibraries/CLinux"),
        .target(name: "DriverThreads", dependencies: ["CLinux"], path: "Sources/Drivers/Threads"),
        .target(name: "Processes", dependencies: ["CLinux"], path: "Sources/Drivers/Processes"),
        .target(name: "NATS", dependencies: ["CNATS", "DriverThreads", log], path: "Sources/Drivers/NATS"),
        .target(
            name: "Redis", dependencies: ["CHiredis", "COpenSSL", "DriverThreads", log], path: "Sources/Drivers/Redis"),
        .target(name: "Postgres", dependencies: ["CLibPQ", "DriverThreads", log], path: "Sources/Drivers/Postgres"),

        // 4. Adapters: the domain's words spoken over one wire each.
        .target(name: "MessageBus", dependencies: ["Bootstrap", "Contracts", "NATS", log]),
        .target(name: "Storage", dependencies: ["Contracts", "Postgres", crypto, log]),
        .target(name: "Coordination", dependencies: ["Contracts", "Redis", log]),
        .target(
            name: "HTTPEdge",
            dependencies: [
                "Contracts", hummingbird, hummingbirdCore, httpTypes, nio, nioHTTP1, nioHTTPTypes, nioPosix, lifecycle,
                jwt, crypto, cryptoExtras, log,
            ]
        ),
        .target(
            name: "Bootstrap",
            dependencies: ["Contracts", configuration, httpClient, lifecycle, log, nio, nioHTTP1, signals]),

        // 5. Services: carry out what the core decided.
        .target(
            name: "OrchestratorService",
            dependencies: [
                "OrchestratorCore", "PeerHubCore", "SandboxExecutorCore", "Contracts", "MessageBus", "Storage",
                "Coordination", "HTTPEdge",
                "Bootstrap",
                "NATS", "Postgres", "Redis", crypto, hummingbird, httpClient, httpTypes, nio, nioHTTP1, nioPosix,
                nioSSL,
                lifecycle,
                log,
            ],
            path: "Sources/Services/Orchestrator/Service"
        ),
        .target(
            name: "AgentWorkerService",
            dependencies: [
                "AgentWorkerCore", "Contracts", "MessageBus", "Coordination", "NATS", "Redis", "HTTPEdge", "Bootstrap",
                httpClient, nio, nioHTTP1, subprocess, lifecycle, log,
            ],
            path: "Sources/Services/AgentWorker/Service"
        ),

        .target(
            name: "PeerHubService",
            dependencies: [
                "PeerHubCore", "Contracts", "MessageBus", "Storage", "HTTPEdge", "Bootstrap", "NATS", "Postgres",
                crypto,
                lifecycle, log,
            ],
            path: "Sources/Services/PeerHub/Service"
        ),
        .target(
            name: "SupervisorService",
            dependencies: [
                "SupervisorCore", "Contracts", "MessageBus", "Storage", "HTTPEdge", "Bootstrap", "NATS", "Postgres",
                lifecycle, log,
            ],
            path: "Sources/Services/Supervisor/Service"
        ),

        .target(
            name: "DLQWorkerService",
            dependencies: [
                "DLQWorkerCore", "Contracts", "MessageBus", "Storage", "Coordination", "HTTPEdge", "Bootstrap", "NATS",
                "Postgres", "Redis", httpClient, nio, nioHTTP1, lifecycle, log,
            ],
            path: "Sources/Services/DLQWorker/Service"
        ),

        .target(
            name: "SandboxExecutorService",
            dependencies: [
                "SandboxExecutorCore", "Contracts", "MessageBus", "Storage", "Coordination", "HTTPEdge", "Bootstrap",
                "Processes", "DriverThreads", "NATS", "Postgres", "Redis", crypto, lifecycle, log,
            ],
            path: "Sources/Services/SandboxExecutor/Service"
        ),

        .target(
            name: "ReleaseGateService",
            dependencies: [
                "ReleaseGateCore", "Contracts", "MessageBus", "Storage", "HTTPEdge", "Bootstrap", "NATS", "Postgres",
                "Redis", yams, crypto, httpClient, hummingbird, httpTypes, nio, nioHTTP1, nioPosix, nioSSL, subprocess,
                lifecycle, log,
            ],
            path: "Sources/ReleaseGate/Service"
        ),

        // 6. Executables: read configuration, build, run.
        .executableTarget(
            name: "orchestrator", dependencies: ["OrchestratorService", "Bootstrap", arguments, log],
            path: "Sources/Services/Orchestrator/Main"
        ),
        .executableTarget(
            name: "peer-hub", dependencies: ["PeerHubService", "Bootstrap", arguments, log],
            path: "Sources/Services/PeerHub/Main"
        ),
        .executableTarget(
            name: "supervisor", dependencies: ["SupervisorService", "Bootstrap", arguments, log],
            path: "Sources/Services/Supervisor/Main"
        ),
        .executableTarget(
            name: "dlq-worker", dependencies: ["DLQWorkerService", "Bootstrap", arguments, log],
            path: "Sources/Services/DLQWorker/Main"
        ),
        .executableTarget(
            name: "sandbox-executor", dependencies: ["SandboxExecutorService", "Bootstrap", arguments, log],
            path: "Sources/Services/SandboxExecutor/Main"
        ),
        .executableTarget(
            name: "agent-worker", dependencies: ["AgentWorkerService", "Bootstrap", arguments, log],
            path: "Sources/Services/AgentWorker/Main"
        ),
        .executableTarget(
            name: "release-gate", dependencies: ["ReleaseGateService", "Bootstrap", arguments, log],
            path: "Sources/ReleaseGate/Main"
        ),
        .executableTarget(
            name: "golden", dependencies: ["Contracts", arguments, httpClient, jwt, nio, nioHTTP1, subprocess],
            path: "Sources/CLI"
        ),

        // The sandbox's own process, in C. "Embedded" keeps Swift's runtime out of it, which would double the time that a
        // program takes to start; static saves as much again. (static-pie would not start: SwiftPM sets a RUNPATH.)
        .executableTarget(
            name: "sandbox-launcher", path: "sandbox/launcher",
            linkerSettings: [
                .unsafeFlags([
                    "-enable-experimental-feature", "Embedded", "-Xclang-linker", "-static",
                    "-Xclang-linker", "-Wno-unused-command-line-argument",
                ])
            ]
        ),

        // 7. What scripts/bench measures below the API, and tests drive. Not shipped.
        .executableTarget(
            name: "breaker-replica",
            dependencies: [
                "Coordination", "MessageBus", "NATS", "Redis", "DriverThreads", "Bootstrap", arguments, log,
            ],
            path: "Sources/Benchmarks/BreakerReplica"
        ),
        .executableTarget(
            name: "budget-load", dependencies: ["Contracts", "Postgres", "Storage", arguments, log],
            path: "Sources/Benchmarks/BudgetLoad"
        ),
        .executableTarget(
            name: "gate-simulation", dependencies: ["ReleaseGateCore", "Contracts", arguments],
            path: "Sources/Benchmarks/GateSimulation"
        ),
        .executableTarget(
            name: "review-load",
            dependencies: ["Contracts", "MessageBus", "NATS", "DriverThreads", "Bootstrap", arguments, log],
            path: "Sources/Benchmarks/ReviewLoad"
        ),

        // 8. Tests.
        .target(name: "TestSupport", dependencies: [log], path: "Tests/TestSupport"),
        .testTarget(name: "ArchitectureTests"),
        .testTarget(name: "ContractsTests", dependencies: ["Contracts"]),
        .testTarget(name: "NATSTests", dependencies: ["NATS", "TestSupport", log]),
        .testTarget(name: "RedisTests", dependencies: ["Redis", "DriverThreads", "TestSupport", log]),
        .testTarget(name: "PostgresTests", dependencies: ["Postgres", "TestSupport", log]),
        .testTarget(
            name: "MessageBusTests", dependencies: ["MessageBus", "Bootstrap", "Contracts", "NATS", "TestSupport", log]
        ),
        .testTarget(
            name: "StorageTests",
            dependencies: ["Storage", "PeerHubCore", "Contracts", "Postgres", "TestSupport", crypto, log],
            exclude: ["schema.snapshot.txt"]
        ),
        // A replica that counts rate limits in a process of its own, for tests and scripts/bench.
        .executableTarget(
            name: "rate-replica", dependencies: ["Coordination", "Redis", log], path: "Tests/RateReplica"),
        .testTarget(
            name: "CoordinationTests",
            dependencies: ["Coordination", "Redis", "breaker-replica", "rate-replica", "TestSupport", log]
        ),
        .testTarget(name: "BootstrapTests", dependencies: ["Bootstrap", "Contracts", "TestSupport", lifecycle, log]),
        .testTarget(
            name: "HTTPEdgeTests",
            dependencies: [
                "HTTPEdge", "Contracts", "TestSupport", hummingbird, hummingbirdCore, httpTypes, nio, jwt, crypto,
                lifecycle, log,
            ]
        ),
        .testTarget(name: "OrchestratorCoreTests", dependencies: ["OrchestratorCore", "Contracts"]),
        // The cores together, in a world that loses messages and processes.
        .testTarget(
            name: "SimulationTests",
            dependencies: ["OrchestratorCore", "PeerHubCore", "Storage", "Coordination", "Contracts"]
        ),
        .testTarget(name: "DLQWorkerCoreTests", dependencies: ["DLQWorkerCore", "Contracts"]),
        .testTarget(
            name: "DLQWorkerServiceTests",
            dependencies: [
                "DLQWorkerService", "Contracts", "MessageBus", "NATS", "Storage", "Postgres", "Bootstrap",
                "TestSupport",
                lifecycle, log,
            ]
        ),
        .testTarget(name: "PeerHubCoreTests", dependencies: ["PeerHubCore", "Contracts"]),
        .testTarget(name: "SupervisorCoreTests", dependencies: ["SupervisorCore", "Contracts"]),
        .testTarget(
            name: "SupervisorServiceTests",
            dependencies: [
                "SupervisorService", "SupervisorCore", "OrchestratorService", "Contracts", "MessageBus", "NATS",
                "Storage", "Postgres", "Bootstrap", "HTTPEdge", "TestSupport", httpClient, jwt, nio, nioHTTP1,
                lifecycle, log,
            ]
        ),
        .testTarget(name: "SandboxCoreTests", dependencies: ["SandboxExecutorCore", "Contracts"]),
        .testTarget(
            name: "SandboxServiceTests",
            dependencies: [
                "SandboxExecutorService", "sandbox-executor", "sandbox-launcher", "Contracts", "MessageBus", "NATS",
                "Storage", "Postgres", "Bootstrap", "TestSupport", crypto, lifecycle, log,
            ]
        ),
        .testTarget(
            name: "PeerHubServiceTests",
            dependencies: [
                "PeerHubService", "PeerHubCore", "peer-hub", "AgentWorkerService", "Contracts", "MessageBus", "NATS",
                "Storage",
                "Postgres", "Bootstrap", "TestSupport", httpClient, nio, nioHTTP1, lifecycle, log,
            ]
        ),
        .testTarget(
            name: "OrchestratorServiceTests",
            dependencies: [
                "OrchestratorService", "PeerHubService", "SandboxExecutorService", "sandbox-launcher", "orchestrator",
                "Contracts", "HTTPEdge", "MessageBus", "NATS",
                "Storage", "Postgres", "Bootstrap", "TestSupport", crypto, httpClient, httpTypes, jwt, nio, nioHTTP1,
                nioPosix, nioSSL, lifecycle, log,
            ]
        ),
        .testTarget(
            name: "AgentWorkerTests",
            dependencies: [
                "agent-worker", "AgentWorkerService", "AgentWorkerCore", "MessageBus", "NATS", "Coordination", "Redis",
                "Contracts", "Bootstrap", "TestSupport", crypto, nio, nioPosix, lifecycle, log,
            ]
        ),
        .testTarget(
            name: "ReleaseGateCoreTests", dependencies: ["ReleaseGateCore", "gate-simulation", "Contracts"]),
        .testTarget(
            name: "ReleaseGateServiceTests",
            dependencies: [
                "ReleaseGateService", "ReleaseGateCore", "release-gate", "Contracts", "MessageBus", "NATS", "Storage",
                "Postgres", "Redis", "HTTPEdge", "Bootstrap", "TestSupport", yams, crypto, httpClient, nio, nioHTTP1,
                lifecycle, log,
            ]
        ),
        .testTarget(
            name: "CLITests",
            dependencies: [
                "golden", "orchestrator", "peer-hub", "agent-worker", "release-gate", "TestSupport", "Contracts",
                arguments,
                jwt,
            ],
            exclude: ["StandIn"]
        ),
    ]
)

for target in package.targets where target.type != .system {
    target.swiftSettings = [
        .enableUpcomingFeature("ExistentialAny"),
        .enableUpcomingFeature("InternalImportsByDefault"),
        .enableUpcomingFeature("MemberImportVisibility"),
        .enableUpcomingFeature("NonisolatedNonsendingByDefault"),
        .treatAllWarnings(as: .error),
    ]
    if ["DriverThreads", "Processes", "NATS", "Redis", "Postgres"].contains(target.name) {
        target.swiftSettings?.append(.strictMemorySafety())
    }
}
