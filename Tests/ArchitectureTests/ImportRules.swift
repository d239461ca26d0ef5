import Foundation
import Testing

/// SwiftPM lets a target import its dependencies' dependencies; this table does not. It is the map of who may know whom.
@Suite struct `Import rules` {
    /// Anything that comes with the toolchain and is not a door to the outside.
    static let toolchain: Set<String> = ["FoundationEssentials", "Synchronization"]

    /// Folder below Sources -> the only other modules its files may import.
    static let allowed: [(room: String, modules: Set<String>)] = [
        ("Contracts", []),
        ("Services/Orchestrator/Core", ["Contracts"]),
        ("Services/AgentWorker/Core", ["Contracts"]),
        ("Services/PeerHub/Core", ["Contracts"]),
        ("Services/Supervisor/Core", ["Contracts"]),
        ("Services/DLQWorker/Core", ["Contracts"]),
        ("Services/SandboxExecutor/Core", ["Contracts"]),
        // Crypto for SHA-256, a pure function.
        ("ReleaseGate/Core", ["Contracts", "Crypto"]),
        ("Drivers/Threads", ["CLinux", "Glibc"]),
        ("Drivers/Processes", ["CLinux", "Glibc"]),
        ("Drivers/NATS", ["CNATS", "DriverThreads", "Glibc", "Logging"]),
        ("Drivers/Redis", ["CHiredis", "COpenSSL", "DriverThreads", "Glibc", "Logging"]),
        ("Drivers/Postgres", ["CLibPQ", "DriverThreads", "Glibc", "Logging"]),
        // Bootstrap for its settings, which all programs on the bus share.
        ("MessageBus", ["Bootstrap", "Contracts", "NATS", "Logging"]),
        ("Storage", ["Contracts", "Postgres", "Crypto", "Logging"]),
        ("Coordination", ["Contracts", "Redis", "Logging"]),
        (
            "HTTPEdge",
            [
                "Contracts", "Hummingbird", "HummingbirdCore", "HTTPTypes", "JWTKit", "Crypto", "CryptoExtras",
                "Dispatch", "Logging", "NIOCore", "NIOHTTP1", "NIOHTTPTypes", "NIOPosix", "ServiceLifecycle",
            ]
        ),
        // An HTTP client for the collector of traces.
        (
            "Bootstrap",
            [
                "AsyncHTTPClient", "Configuration", "Contracts", "Glibc", "Logging", "NIOCore", "NIOHTTP1",
                "ServiceLifecycle", "UnixSignals",
            ]
        ),
        (
            "Services/Orchestrator/Service",
            [
                "OrchestratorCore", "PeerHubCore", "SandboxExecutorCore", "Contracts", "MessageBus", "Storage",
                "Coordination", "HTTPEdge",
                "Bootstrap",
                "NATS", "Postgres", "Redis", "AsyncHTTPClient", "Crypto", "Foundation", "Glibc", "Hummingbird",
                "HTTPTypes",
                "NIOCore", "NIOHTTP1", "NIOPosix", "NIOSSL", "Logging", "ServiceLifecycle",
            ]
        ),
        (
            "Services/AgentWorker/Service",
            [
                "AgentWorkerCore", "Contracts", "MessageBus", "Coordination", "NATS", "Redis", "HTTPEdge", "Bootstrap",
                "AsyncHTTPClient", "Glibc", "Logging", "NIOCore", "NIOHTTP1", "ServiceLifecycle", "Subprocess",
            ]
        ),
        (
            "Services/PeerHub/Service",
            [
                "PeerHubCore", "Contracts", "MessageBus", "Storage", "HTTPEdge", "Bootstrap", "NATS", "Postgres",
                "Crypto", "Logging", "ServiceLifecycle",
            ]
        ),
        (
            "Services/Supervisor/Service",
            [
                "SupervisorCore", "Contracts", "MessageBus", "Storage", "HTTPEdge", "Bootstrap", "NATS", "Postgres",
                "Logging", "ServiceLifecycle",
            ]
        ),
        ("Services/Supervisor/Main", ["SupervisorService", "Bootstrap", "ArgumentParser", "Logging"]),
        (
            "Services/DLQWorker/Service",
            [
                "DLQWorkerCore", "Contracts", "MessageBus", "Storage", "Coordination", "HTTPEdge", "Bootstrap", "NATS",
                "Postgres", "Redis", "AsyncHTTPClient", "Foundation", "NIOCore", "NIOHTTP1", "Logging",
                "ServiceLifecycle",
            ]
        ),
        ("Services/DLQWorker/Main", ["DLQWorkerService", "Bootstrap", "ArgumentParser", "Logging"]),
        (
            "Services/SandboxExecutor/Service",
            [
                "SandboxExecutorCore", "Contracts", "MessageBus", "Storage", "Coordination", "HTTPEdge", "Bootstrap",
                "Processes", "DriverThreads", "NATS", "Postgres", "Redis", "Crypto", "Logging", "ServiceLifecycle",
            ]
        ),
        ("Services/SandboxExecutor/Main", ["SandboxExecutorService", "Bootstrap", "ArgumentParser", "Logging"]),
        (
            "ReleaseGate/Service",
            [
                "ReleaseGateCore", "Contracts", "MessageBus", "Storage", "HTTPEdge", "Bootstrap", "NATS", "Postgres",
                "Redis", "Yams", "Crypto", "AsyncHTTPClient", "Foundation", "Glibc", "Hummingbird", "HTTPTypes",
                "NIOCore", "NIOHTTP1", "NIOPosix", "NIOSSL", "Subprocess", "Logging", "ServiceLifecycle",
            ]
        ),
        ("ReleaseGate/Main", ["ReleaseGateService", "Bootstrap", "ArgumentParser", "Glibc", "Logging"]),
        ("Services/PeerHub/Main", ["PeerHubService", "Bootstrap", "ArgumentParser", "Logging"]),
        ("Services/Orchestrator/Main", ["OrchestratorService", "Bootstrap", "ArgumentParser", "Logging"]),
        ("Services/AgentWorker/Main", ["AgentWorkerService", "Bootstrap", "Contracts", "ArgumentParser", "Logging"]),
        ("Benchmarks/BudgetLoad", ["Contracts", "Postgres", "Storage", "ArgumentParser", "Foundation", "Logging"]),
        ("Benchmarks/GateSimulation", ["ReleaseGateCore", "Contracts", "ArgumentParser", "Foundation"]),
        (
            "Benchmarks/ReviewLoad",
            [
                "Contracts", "MessageBus", "NATS", "DriverThreads", "Bootstrap", "ArgumentParser", "Foundation",
                "Glibc",
                "Logging",
            ]
        ),
        (
            "Benchmarks/BreakerReplica",
            [
                "Coordination", "MessageBus", "NATS", "Redis", "DriverThreads", "Bootstrap", "ArgumentParser", "Glibc",
                "Logging",
            ]
        ),
        (
            "CLI",
            [
                "Contracts", "ArgumentParser", "AsyncHTTPClient", "Dispatch", "Glibc", "JWTKit", "NIOCore", "NIOHTTP1",
                "Subprocess",
            ]
        ),
    ]

    @Test(arguments: allowed)
    func `a room imports only what its row allows`(room: String, modules: Set<String>) throws {
        let files = try SourceFile.swift(below: "Sources/\(room)")
        #expect(!files.isEmpty, "Sources/\(room) holds no Swift file; remove its row")
        for file in files {
            for module in Self.imports(of: file) where !Self.toolchain.contains(module) {
                #expect(modules.contains(module), "\(file.path) imports \(module)")
            }
        }
    }

    @Test func `every source file lies in a room with a row`() throws {
        for file in try SourceFile.swift(below: "Sources") {
            #expect(Self.allowed.contains { file.path.hasPrefix("Sources/\($0.room)/") }, "\(file.path) is in no room")
        }
    }

    static func imports(of file: SourceFile) -> [String] {
        let pattern =
            /^\s*(?:@\w+ )?(?:public |package |internal |private |fileprivate )?import (?:struct |class |enum |protocol |func |var )?(\w+)/
        return file.lines.compactMap { $0.firstMatch(of: pattern).map { String($0.1) } }
    }
}
