import Contracts
import Foundation
import TestSupport
import Testing

@testable import golden

/// What goes between `golden up --detach` and the process in the background; the services are stand-ins.
@Suite(.serialized, .timeLimit(.minutes(5))) struct `Starting in the background` {
    /// Ctrl-C from the moment on that the program listens for it, until it has ended.
    private func interrupt(_ process: Process) async throws {
        let pid = process.processIdentifier
        let isOver = try await eventually(seconds: 90) {
            if listens(pid) { kill(pid, SIGINT) }
            return !process.isRunning
        }
        #expect(isOver)
    }

    /// Whether the signal has another than its usual effect on the process.
    private func listens(_ pid: Int32) -> Bool {
        let lines = readSmallFile("/proc/\(pid)/status")?.split(separator: "\n") ?? []
        return ["SigCgt:", "SigIgn:"].contains { kind in
            let masked = lines.first { $0.hasPrefix(kind) }?.split(separator: "\t").last
            let mask = masked.flatMap { UInt64($0, radix: 16) } ?? 0
            return mask & (1 << UInt64(SIGINT - 1)) != 0
        }
    }

    @Test func `an interrupted one leaves a stack alone that ran before`() async throws {
        try await Golden.withStack("interrupted") { golden in
            let supervisor = try #require(try golden.record().supervisor)
            // Its own process comes late, so that the interrupt is there first.
            let programs = "\(golden.folder.path)-bin"
            try FileManager.default.createDirectory(atPath: programs, withIntermediateDirectories: true)
            let slow = Data("#!/bin/sh\nsleep 1\nexec /usr/bin/setsid \"$@\"\n".utf8)
            let isWritten = FileManager.default.createFile(
                atPath: "\(programs)/setsid", contents: slow, attributes: [.posixPermissions: 0o755])
            #expect(isWritten)
            var late = golden
            late.environment["PATH"] = "\(programs):/usr/bin:/bin"
            let second = try late.start(["up", "--detach"]).process
            try await interrupt(second)
            #expect(second.terminationStatus == 1)
            #expect(try golden.record().supervisor == supervisor && supervisor.isRunning)
            #expect(try await golden.run("status").status == 0)
        }
    }

    @Test func `an interrupt before there is a record stops the start all the same`() async throws {
        let golden = try Golden("interrupted-early")
        try await golden.removedAfterwards {
            let first = try golden.start(["up", "--detach", "--port", "0"]).process
            try await interrupt(first)
            #expect(first.terminationStatus == 1)
            #expect(try StackRecord.load(from: golden.folder)?.supervisor?.isRunning != true)
        }
    }

    @Test func `what --env gave stands in no command line, and the next up has it again`() async throws {
        let value = "a-value-for-nobody-else"
        var named = try Golden("settings")
        named.environment = ["GIVEN_BY_NAME": value]
        let golden = named
        try await golden.removedAfterwards {
            let settings = ["--env", "GIVEN_BY_NAME", "--env", "GIVEN=\(value)", "--agent", "helper=cat"]
            let up = try await golden.run(["up", "--detach", "--port", "0"] + settings)
            #expect(up.status == 0, "\(up.errors)")
            let given = ["GIVEN_BY_NAME": value, "GIVEN": value]
            #expect(try StackEnvironment.load(from: golden.folder) == given)
            let record = try golden.record()
            for identity in record.processes.compactMap(\.identity) + [record.supervisor].compactMap(\.self) {
                let line = try #require(readSmallFile("/proc/\(identity.pid)/cmdline"))
                #expect(!line.isEmpty && !line.contains(value), "\(line)")
            }

            try await golden.run("down")
            let again = try await golden.run("up", "--detach")
            let words = "As last time: --agent helper, --env GIVEN, --env GIVEN_BY_NAME."
            #expect(again.status == 0 && again.errors.contains(words), "\(again.errors)")
            let here = "The agents' commands run in \(FileManager.default.currentDirectoryPath)."
            #expect(again.errors.contains(here), "\(again.errors)")
            #expect(!again.errors.contains(value))
            #expect(try golden.process("agent-helper-1").state == .ready)
            #expect(try StackEnvironment.load(from: golden.folder) == given)

            try await golden.run("down")
            let other = try await golden.run("up", "--detach", "--orchestrators", "1")
            #expect(other.status == 0 && !other.errors.contains("As last time"), "\(other.errors)")
            #expect(try !golden.record().processes.contains { $0.name == "agent-helper-1" })
            #expect(try StackEnvironment.load(from: golden.folder) == [:])
        }
    }

    @Test func `down waits for whoever starts or restores the stack, and changes nothing in vain`() async throws {
        let golden = try Golden("locked")
        try golden.folder.create()
        let record = StackRecord.sample(supervisor: nil)
        try record.save(to: golden.folder)
        let lock = try FolderLock.acquire(golden.folder.lock)
        let isHeld = lock != nil
        #expect(isHeld)
        let refused = try await golden.run("down", "--delete", "--timeout", "1", "--json")
        #expect(refused.status == 1 && refused.errors.contains("stack_running"), "\(refused.errors)")
        #expect(try golden.record() == record)
        _ = consume lock
        #expect(try await golden.run("down", "--delete").status == 0)
        #expect(!FileManager.default.fileExists(atPath: golden.folder.path))
    }

    @Test func `down waits for the lock of a supervisor that it had to kill`() async throws {
        let golden = try Golden("killed")
        try golden.folder.create()
        let deaf = try Scratch.sleeper()
        defer { Scratch.end(deaf) }
        let supervisor = try #require(ProcessIdentity(runningAs: deaf.processIdentifier))
        supervisor.send(SIGSTOP)
        try StackRecord.sample(supervisor: supervisor).save(to: golden.folder)
        let lock = try FolderLock.acquire(golden.folder.lock)
        let isHeld = lock != nil
        #expect(isHeld)
        let down = try golden.start(["down", "--timeout", "1"])
        let isKilled = try await eventually(seconds: 60) { !deaf.isRunning }
        try #require(isKilled)
        let gaveUp = try await eventually(seconds: 1) { !down.process.isRunning }
        #expect(!gaveUp)
        _ = consume lock
        let outcome = try await blocking { try Golden.outcome(of: down) }
        #expect(outcome.status == 0, "\(outcome.errors)")
    }
}
