import Foundation
import TestSupport
import Testing

@testable import golden

/// Folders and records made for one test.
enum Scratch {
    static func folder(_ name: String) throws -> StackFolder {
        let folder = StackFolder(try temporaryFolder("cli-\(name)").path)
        try folder.create()
        return folder
    }

    /// A process that does nothing for a long time. It has none of the tests' own streams, since whoever reads those
    /// waits for the end of all that have them.
    static func sleeper(in folder: String = "/") throws -> Process {
        let process = Process()
        process.executableURL = URL(filePath: "/bin/sleep")
        process.arguments = ["1000"]
        process.currentDirectoryURL = URL(filePath: folder)
        process.standardInput = FileHandle.nullDevice
        process.standardOutput = FileHandle.nullDevice
        process.standardError = FileHandle.nullDevice
        try Spawner.shared.start(process)
        return process
    }

    /// Kills what still runs.
    static func end(_ process: Process) {
        if process.isRunning { kill(process.processIdentifier, SIGKILL) }
    }
}

extension StackRecord {
    static func sample(supervisor: ProcessIdentity?) -> StackRecord {
        StackRecord(
            id: "0198c5a2-0000-7000-8000-000000000000", state: .ready, note: "", supervisor: supervisor,
            ports: Ports(api: 8080, nats: 20001, redis: 20002, postgres: 20003), postgresFolder: "/x/postgres",
            processes: [
                Process(
                    name: "nats", identity: ProcessIdentity(pid: 17, startTicks: 99), state: .ready,
                    address: "127.0.0.1:20001", restarts: 2, lastExit: "signaled(9)", log: "/x/logs/nats.log"
                ),
                Process(
                    name: "agent-echo-1", identity: nil, state: .restarting, address: nil, restarts: 0, lastExit: nil,
                    log: "/x/logs/agent-echo-1.log"
                ),
            ]
        )
    }
}
