import Contracts
import Foundation
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
        var ends: [Int32] = [0, 0]
        let isOpen = pipe(&ends) == 0 && fcntl(ends[1], F_SETFL, O_NONBLOCK) == 0
        try #require(isOpen)
        let (reader, writer) = (ends[0], FileHandles(descriptor: ends[1]))
        let bytes = [UInt8](repeating: 7, count: 1 << 20)
        async let number = blocking { writer.writeAll(bytes) }
        let received = try await blocking {
            var received = 0
            var chunk = [UInt8](repeating: 0, count: 65_536)
            while received < bytes.count {
                var waiting = pollfd(fd: reader, events: Int16(POLLIN), revents: 0)
                guard poll(&waiting, 1, 10_000) == 1 else { break }
                received += max(0, read(reader, &chunk, chunk.count))
            }
            return received
        }
        let failure = try await number
        #expect(received == bytes.count && failure == nil)
        // A message is written as far as there is room.
        writer.write(bytes)
        close(reader)
        #expect(writer.writeAll(bytes) == EPIPE)
        close(writer.descriptor)
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
