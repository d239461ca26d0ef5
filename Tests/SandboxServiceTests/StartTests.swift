import Bootstrap
import Contracts
import Foundation
import SandboxExecutorService
import ServiceLifecycle
import Synchronization
import TestSupport
import Testing

/// What a program is started with, and sandboxes that never start theirs.
extension `Sandboxes` {
    private static func sayingArguments(_ change: (inout SandboxProgram) -> Void = { _ in }) -> SandboxProgram {
        ExecutorUnderTest.python("import sys; print(sys.argv[1:])") { program in
            program.arguments = ["{code}", "{box}/x", "a{tmp}"]
            change(&program)
        }
    }

    private static let saidArguments = "['{code}', '{box}/x', 'a{tmp}']\n"

    @Test func `an argument that looks like a place is passed as it is, warm or cold`() async throws {
        try await ExecutorUnderTest.run { test in
            try await test.withWarmExecutor {
                for isWarm in [true, false] {
                    let outcome = try await test.outcome(
                        // An interpreter reads this variable at its start.
                        Self.sayingArguments { if !isWarm { $0.environment = ["TZ": "UTC"] } })
                    #expect(outcome.stdout.text == Self.saidArguments, "\(outcome)")
                    #expect(outcome.isolation?.isWarm == isWarm)
                }
            }
        }
    }

    @Test func `without namespaces an argument tells a program nothing of where it lies`() async throws {
        try await ExecutorUnderTest.run { test in
            let settings = ["GOLDEN_SANDBOX_TIER": "restricted", "GOLDEN_SANDBOX_MIN_TIER": "restricted"]
            try await test.withExecutor(settings) {
                let outcome = try await test.outcome(Self.sayingArguments())
                #expect(outcome.stdout.text == Self.saidArguments, "\(outcome)")
            }
        }
    }

    @Test func `a sandbox that hangs before it starts its program is no success, however long it hangs`() async throws {
        try await ExecutorUnderTest.run { test in
            let folder = try temporaryFolder("hanging")
            let (launcher, hangs) = ("\(folder.path)/launcher", "\(folder.path)/hangs")
            try Self.hangingLauncher(hangs).write(toFile: launcher, atomically: true, encoding: .utf8)
            try FileManager.default.setAttributes([.posixPermissions: 0o755], ofItemAtPath: launcher)
            let settings = test.settings([
                "GOLDEN_SANDBOX_LAUNCHER": launcher, "GOLDEN_SANDBOX_WARM": "false", "GOLDEN_SANDBOX_CONCURRENCY": "32",
            ])
            var configuration = try SandboxExecutorConfiguration(ServiceConfiguration(environment: settings))
            configuration.soundAfter = .milliseconds(500)
            let port = Mutex(0)
            let executor = try await SandboxExecutor(configuration, logger: quiet) { found in
                port.withLock { $0 = found }
            }
            let services = ServiceGroup(configuration: .init(services: executor.services, logger: quiet))
            try await withThrowingTaskGroup(of: Void.self) { group in
                group.addTask { try await services.run() }
                try await test.eventually { port.withLock { $0 } > 0 }
                #expect(FileManager.default.createFile(atPath: hangs, contents: nil))
                // As many as the breaker concludes something from, and a few more.
                for _ in 0..<30 { try await test.keep(ExecutorUnderTest.shell("echo never")) }
                try await test.eventually {
                    try await Host.metrics(port.withLock { $0 }).contains(
                        #"circuit_breaker_state{name="sandbox"} 2"#)
                }
                await services.triggerGracefulShutdown()
            }
        }
    }

    /// While the file `hangs` is there it says nothing, four times as long as that test takes for a sign of health.
    private static func hangingLauncher(_ hangs: String) -> String {
        """
        #!/bin/sh
        [ -e \(hangs) ] || exec \(ExecutorUnderTest.programs)/sandbox-launcher "$@"
        sleep 2
        exit 125

        """
    }
}
