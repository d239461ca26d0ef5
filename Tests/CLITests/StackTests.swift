import Contracts
import Foundation
import TestSupport
import Testing

@testable import golden

/// The embedded stack with its real stores; the services are stand-ins.
@Suite(.serialized, .timeLimit(.minutes(10))) struct `The embedded stack` {
    @Test func `it comes up from nothing, shows itself, refuses a twin and leaves nothing`() async throws {
        let golden = try Golden("life")
        let started = ContinuousClock.now
        let up = try await golden.run("up", "--detach", "--port", "0", "--json", "--env", "GOLDEN_NATS_STORAGE=2GiB")
        #expect(up.status == 0, "\(up.output)\(up.errors)")
        #expect(ContinuousClock.now - started < .seconds(90))
        var ready = try JSONReader(try up.json)
        #expect(try ready.string("state") == "ready")

        let status = try await golden.run("status", "--json")
        #expect(status.status == 0)
        let secrets = try #require(try StackSecrets.load(from: golden.folder))
        #expect(!status.output.contains(secrets.postgres) && !status.output.contains(secrets.redis))
        #expect(try await golden.run("status", "--json", "--secrets").output.contains(secrets.postgres))
        #expect(try await golden.run("status").output.contains("orchestrator-1"))
        #expect(try await golden.run("migrate", "status").output.contains("done: migrate status"))
        #expect(try await golden.run("jetstream", "setup").output == "done: jetstream setup with 2GiB\n")
        #expect(try await golden.run("submit", "-", "--follow", input: "{}").status == 0, "by the stack's own secret")

        let twin = try await golden.run("up", "--detach")
        #expect(twin.status == 1 && twin.errors.contains("already runs"))

        let record = try golden.record()
        #expect(record.processes.count == 9)
        let identities = record.processes.compactMap(\.identity) + [record.supervisor].compactMap(\.self)
        #expect(identities.count == 10 && identities.allSatisfy { $0.isRunning })
        let down = try await golden.run("down")
        #expect(down.status == 0, "\(down.errors)")
        #expect(identities.allSatisfy { !$0.isRunning })
        #expect(!Ports.accepts(record.ports.nats) && !Ports.accepts(record.ports.api))

        let again = try await golden.run("up", "--detach")
        #expect(again.status == 0)
        #expect(try golden.record().ports == record.ports, "ports are remembered")
        #expect(try await golden.run("down", "--delete").status == 0)
        #expect(!FileManager.default.fileExists(atPath: golden.folder.path))
    }

    @Test func `the stores take their passwords and nothing else`() async throws {
        try await Golden.withStack("stores") { golden in
            let secrets = try #require(try StackSecrets.load(from: golden.folder))
            let ports = try golden.record().ports
            let open = StoreAddresses(ports: ports, secrets: secrets)
            let psql = ["psql", "-w", "-tAc", "SELECT current_user, current_setting('max_connections')"]
            let good = await Tool.run(psql + [open.postgres], environment: Golden.psqlEnvironment)
            #expect(good.output == "golden|100\n")
            let closed = StoreAddresses(ports: ports, secrets: nil)
            let bad = await Tool.run(psql + [closed.postgres], environment: Golden.psqlEnvironment)
            #expect(!bad.isSuccess && bad.output.contains("password"))

            func redis(_ lines: String) -> String? { Ports.exchange(ports.redis, request: lines, milliseconds: 2000) }
            #expect(redis("PING\r\n")?.hasPrefix("-NOAUTH") == true)
            #expect(redis("AUTH wrong\r\n")?.hasPrefix("-WRONGPASS") == true)
            #expect(redis("AUTH \(secrets.redis)\r\nPING\r\n")?.hasPrefix("+OK") == true)

            let hello = #"CONNECT {"user":"golden","pass":"\#(secrets.nats)","verbose":true}"#
            #expect(try nats(ports.nats, hello).contains("+OK"))
            #expect(try nats(ports.nats, #"CONNECT {"user":"golden","pass":"x"}"#).contains("Authorization Violation"))
            let info = try #require(Ports.exchange(ports.nats, request: "", milliseconds: 2000))
            #expect(info.contains(#""max_payload":2097152"#) && info.contains(#""jetstream":true"#))
        }
    }

    /// The first two lines nats-server says to `line` (INFO and its answer).
    private func nats(_ port: Int, _ line: String) throws -> String {
        let script =
            "exec 3<>/dev/tcp/127.0.0.1/\(port); read -r a <&3; printf '%s\\r\\n' '\(line)' >&3; read -r -t 5 b <&3; echo \"$b\""
        let process = Process()
        process.executableURL = URL(filePath: "/bin/bash")
        process.arguments = ["-c", script]
        return try Spawner.shared.output(of: process)
    }

    @Test func `a store that is killed comes back on its port with its data`() async throws {
        try await Golden.withStack("heal") { golden in
            let secrets = try #require(try StackSecrets.load(from: golden.folder))
            let url = StoreAddresses(ports: try golden.record().ports, secrets: secrets).postgres
            let environment = Golden.psqlEnvironment
            let write = await Tool.run(["psql", url, "-c", "CREATE TABLE kept (a int)"], environment: environment)
            #expect(write.isSuccess, "\(write.output)")
            for name in ["postgres", "nats", "redis"] {
                let first = try #require(try golden.process(name).identity)
                first.send(SIGKILL)
                let isBack = try await eventually {
                    let now = try golden.process(name)
                    return now.state == .ready && now.identity != first && now.restarts == 1
                }
                #expect(isBack, "\(name)")
            }
            let read = await Tool.run(["psql", url, "-tAc", "SELECT count(*) FROM kept"], environment: environment)
            #expect(read.output == "0\n")
            #expect(try await golden.run("status").status == 0)
        }
    }

    @Test func `a killed supervisor leaves no process, and the next up starts clean`() async throws {
        try await Golden.withStack("orphans") { golden in
            let record = try golden.record()
            try #require(record.supervisor).send(SIGKILL)
            let identities = record.processes.compactMap(\.identity)
            #expect(try await eventually { identities.allSatisfy { !$0.isRunning } })
            let status = try await golden.run("status")
            #expect(status.status == 1 && status.output.contains("lost"))
            #expect(try await golden.run("up", "--detach").status == 0)
            #expect(try await golden.run("status").status == 0)
        }
    }

    @Test func `processes that outlived their supervisor are ended by down`() async throws {
        try await Golden.withStack("leftovers") { golden in
            let record = try golden.record()
            // A stopped process hears no request to end: only the record's pid and start time can find it.
            let agent = try #require(try golden.process("agent-developer-1").identity)
            let stubborn = try Scratch.sleeper()
            defer { Scratch.end(stubborn) }
            let identity = try #require(ProcessIdentity(runningAs: stubborn.processIdentifier))
            try #require(record.supervisor).send(SIGKILL)
            #expect(try await eventually { !agent.isRunning })
            var changed = record
            let index = try #require(changed.processes.firstIndex { $0.name == "agent-developer-1" })
            changed.processes[index].identity = identity
            try changed.save(to: golden.folder)
            #expect(try await golden.run("status").output.contains("orphaned"))
            #expect(try await golden.run("down").status == 0)
            let isGone = try await eventually { !stubborn.isRunning }
            try #require(isGone)
            #expect(stubborn.terminationReason == .uncaughtSignal)
        }
    }

    @Test func `two stacks run side by side`() async throws {
        try await Golden.withStack("first") { first in
            try await Golden.withStack("second") { second in
                #expect(try await first.run("status").status == 0)
                #expect(try await second.run("status").status == 0)
                let ports = [try first.record().ports, try second.record().ports]
                #expect(Set(ports.flatMap { [$0.api, $0.nats, $0.redis, $0.postgres] }).count == 8)
            }
            #expect(try await first.run("status").status == 0, "stopping the second leaves the first alone")
        }
    }

    @Test(.timeLimit(.minutes(4)), arguments: [[], ["--cluster"]])
    func `a service that cannot start fails up with its log, and nothing is left`(options: [String]) async throws {
        let mended = try Golden("broken")
        var golden = mended
        golden.environment = ["GOLDEN_BIN": try brokenServices(in: golden.folder)]
        let broken = golden
        try await mended.removedAfterwards {
            let up = try await broken.run(["up", "--detach", "--port", "0", "--slots", "9"] + options)
            #expect(up.status == 1 && up.errors.contains("no such flag"), "\(up.errors)")
            let record = try broken.record()
            #expect(record.state == .failed && record.processes.isEmpty)
            #expect(!Ports.accepts(record.ports.postgres) && !Ports.accepts(record.ports.nats))
            let again = try await mended.run(["up", "--detach"] + options)
            #expect(again.status == 0, "and it can be started once mended: \(again.errors)")
            #expect(!again.errors.contains("As last time"), "what never came up is not what it takes again")
        }
    }

    private func brokenServices(in folder: StackFolder) throws -> String {
        let path = "\(folder.path)-bin"
        try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
        for name in ["orchestrator", "peer-hub", "supervisor", "dlq-worker", "agent-worker"] {
            let script = "#!/bin/sh\nif [ \"$1\" = serve ]; then echo no such flag >&2; exit 2; fi\n"
            let isWritten = FileManager.default.createFile(
                atPath: "\(path)/\(name)", contents: Data(script.utf8), attributes: [.posixPermissions: 0o755]
            )
            #expect(isWritten)
        }
        return path
    }

    @Test(.enabled(if: geteuid() == 0, "only root has a database account that cannot follow it"))
    func `a folder its account cannot reach has its database elsewhere, and delete takes that along`() async throws {
        var golden = try Golden("hidden")
        try FileManager.default.setAttributes([.posixPermissions: 0o700], ofItemAtPath: golden.folder.path)
        let folder = StackFolder("\(golden.folder.path)/inner")
        golden.environment = ["GOLDEN_DATA": folder.path]
        let up = try await golden.run("up", "--detach", "--port", "0")
        #expect(up.status == 0, "\(up.errors)")
        let place = try #require(try StackRecord.load(from: folder)).postgresFolder
        #expect(place.hasPrefix("\(PostgresPlace.fallbackRoot)/"))
        #expect(try await golden.run("down").status == 0)
        #expect(try await golden.run("up", "--detach").status == 0)
        #expect(try StackRecord.load(from: folder)?.postgresFolder == place)
        #expect(try await golden.run("down", "--delete").status == 0)
        #expect(!FileManager.default.fileExists(atPath: place))
    }

    @Test func `a taken port is named before anything starts`() async throws {
        let golden = try Golden("port")
        let listener = try Listener()
        let up = try await golden.run("up", "--detach", "--port", "\(listener.port)")
        #expect(up.status == 1 && up.errors.contains("Port \(listener.port) is taken"))
        #expect(!FileManager.default.fileExists(atPath: golden.folder.postgresLink + "/data"))
    }

    @Test(arguments: [SIGINT, SIGTERM]) func `a signal to the foreground stops everything`(signal: Int32) async throws {
        let golden = try Golden("signal-\(signal)")
        try await golden.removedAfterwards {
            let process = try golden.start(["up", "--port", "0"]).process
            let isReady = try await eventually(seconds: 60) {
                guard golden.folder.exists else { return false }
                return try golden.record().state == .ready
            }
            #expect(isReady)
            let identities = try golden.record().processes.compactMap(\.identity)
            kill(process.processIdentifier, signal)
            let hasEnded = try await blocking { Spawner.shared.wait(for: process) }
            try #require(hasEnded)
            #expect(process.terminationStatus == 0)
            #expect(identities.count == 9 && identities.allSatisfy { !$0.isRunning })
            #expect(try golden.record().state == .stopped)
        }
    }
}

/// Holds a port for one test.
final class Listener: Sendable {
    let port: Int
    private let descriptor: Int32

    init() throws {
        port = freePort()
        descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_addr.s_addr = inet_addr("127.0.0.1")
        address.sin_port = in_port_t(UInt16(port)).bigEndian
        let isBound = withUnsafePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { raw in
                bind(descriptor, raw, socklen_t(MemoryLayout<sockaddr_in>.size)) == 0 && listen(descriptor, 1) == 0
            }
        }
        guard isBound else { throw Golden.Failed(description: "port \(port) cannot be held") }
    }

    deinit { close(descriptor) }
}
