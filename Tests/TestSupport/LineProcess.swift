import Foundation

/// A program of the project's own that is told what to do one line at a time and answers in lines, the last of which
/// is `done`.
public final class LineProcess: @unchecked Sendable {
    // Unchecked: `Process` is touched by `init`, `end` and `deinit` only, and the pipes are files.
    private let process = Process()
    private let input = Pipe()
    private let lines: AsyncStream<String>

    /// Starts it; it ends with this process at the latest.
    public init(_ executable: String, _ arguments: [String]) throws {
        let output = Pipe()
        let (lines, source) = AsyncStream<String>.makeStream()
        self.lines = lines
        process.executableURL = URL(filePath: "/usr/bin/setpriv")
        process.arguments = ["--pdeathsig", "KILL", executable] + arguments
        process.standardInput = input
        process.standardOutput = output
        try Spawner.shared.start(process)
        let reader = output.fileHandleForReading
        Thread.detachNewThread {
            var rest = Data()
            while case let data = reader.availableData, !data.isEmpty {
                rest += data
                while let end = rest.firstIndex(of: UInt8(ascii: "\n")) {
                    source.yield(String(decoding: rest[rest.startIndex..<end], as: UTF8.self))
                    rest = rest[(end + 1)...]
                }
            }
            source.finish()
        }
    }

    deinit { end() }

    /// The programs that were built beside the tests.
    public static func built(_ name: String) throws -> String {
        let own = try FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/exe")
        let folders = [own] + CommandLine.arguments.filter { $0.hasSuffix(".xctest") }
        for folder in folders {
            let path = URL(filePath: folder).deletingLastPathComponent().appending(path: name).path
            if FileManager.default.isExecutableFile(atPath: path) { return path }
        }
        throw ServerProcess.Failure(description: "\(name) was not built beside \(own).")
    }

    /// Sends one line and collects what it prints until it is done.
    public func ask(_ line: String) async throws -> [String] {
        try input.fileHandleForWriting.write(contentsOf: Data("\(line)\n".utf8))
        return try await answer(until: "done")
    }

    /// What it prints before this line.
    public func answer(until last: String) async throws -> [String] {
        var answer: [String] = []
        for await line in lines {
            if line == last { return answer }
            answer.append(line)
        }
        throw ServerProcess.Failure(description: "It ended before it was done: \(answer.suffix(5))")
    }

    public func end() {
        guard process.isRunning else { return }
        kill(process.processIdentifier, SIGKILL)
        Spawner.shared.wait(for: process)
    }
}
