import Contracts
import Foundation
import Synchronization
import TestSupport
import Testing

@testable import golden

/// What becomes of results that nobody takes.
@Suite(.timeLimit(.minutes(1))) struct `Standard output` {
    /// As `golden` itself does at its start.
    init() { signal(SIGPIPE, SIG_IGN) }

    /// The program in a shell's line, where `"$0"` is it.
    private func shell(
        _ line: String, input: String = "", environment: [String: String] = [:]
    ) async throws -> Tool.Outcome {
        await Tool.run(
            ["bash", "-c", line, try Golden.program], input: input,
            environment: environment.merging(["PATH": "/usr/bin:/bin"]) { $1 }
        )
    }

    @Test(arguments: ["version", "--help", "completions bash", "version --json"])
    func `a result that could not be written is a failure that says so`(command: String) async throws {
        let outcome = try await shell("\"$0\" \(command) >/dev/full; echo \"ended with $?\"")
        #expect(outcome.output.contains("No space left on device"), "\(outcome.output)")
        #expect(outcome.output.hasSuffix("ended with 1\n"), "\(outcome.output)")
    }

    @Test func `a reader that wants no more ends the following quietly and at once`() async throws {
        try await Golden.withAPI("unread") { golden, _ in
            let line = "\"$0\" submit - --follow --json | head -1; echo \"ended with ${PIPESTATUS[0]}\""
            let outcome = try await shell(
                line, input: #"{"input":{"pause":0.5}}"#, environment: golden.environment)
            let lines = outcome.output.split(separator: "\n")
            #expect(lines.count == 2 && lines.last == "ended with 130", "\(outcome.output)")
        }
    }

    @Test func `what a slow reader cannot take yet waits for it, and nothing else does`() async throws {
        let (reader, writer) = try quickPipe()
        let bytes = [UInt8](repeating: 7, count: 1 << 20)
        // The reader has a thread of its own: it must not wait for one of those that the writer takes.
        let received = Mutex(0)
        Thread.detachNewThread {
            var chunk = [UInt8](repeating: 0, count: 65_536)
            while received.withLock({ $0 }) < bytes.count {
                let count = read(reader, &chunk, chunk.count)
                guard count > 0 else { break }
                received.withLock { $0 += count }
            }
            close(reader)
        }
        let failure = try await blocking { writer.writeAll(bytes) }
        #expect(failure == nil)
        // The reader has taken all and goes.
        let afterwards = try await blocking { writer.writeAll(bytes) }
        #expect(afterwards == EPIPE && received.withLock { $0 } == bytes.count)
        close(writer.descriptor)
    }

    @Test func `a message is written as far as there is room, and nobody waits for its reader`() throws {
        let (reader, writer) = try quickPipe()
        writer.write([UInt8](repeating: 7, count: 1 << 20))
        var taken: Int32 = 0
        #expect(ioctl(reader, UInt(FIONREAD), &taken) == 0 && taken > 0 && taken < 1 << 20)
        close(reader)
        close(writer.descriptor)
    }

    /// A pipe that never makes its writer wait. No process that another test starts has its ends: one that had would
    /// stand in for a reader that is gone.
    private func quickPipe() throws -> (reader: Int32, writer: FileHandles) {
        let ends = try Spawner.shared.perform {
            var ends: [Int32] = [-1, -1]
            let isOpen = pipe(&ends) == 0 && ends.allSatisfy { fcntl($0, F_SETFD, FD_CLOEXEC) == 0 }
            try #require(isOpen && fcntl(ends[1], F_SETFL, O_NONBLOCK) == 0)
            return ends
        }
        return (ends[0], FileHandles(descriptor: ends[1]))
    }

    @Test func `with --json a wrong command line is told as JSON, too`() async throws {
        let golden = try Golden("usage")
        for arguments in [["tasks", "show", "x", "--json"], ["tasks", "list", "--json", "--no-such"]] {
            let outcome = try await golden.run(arguments)
            #expect(outcome.status == 2 && outcome.output.isEmpty)
            var reader = try JSONReader(try JSON(parsing: outcome.errors.utf8))
            var error = try JSONReader(try reader.required("error"))
            #expect(try error.string("code") == "usage")
            #expect(try !error.string("message").isEmpty)
        }
        #expect(try await golden.run("tasks", "show", "x").errors.contains("Usage:"))
    }
}
