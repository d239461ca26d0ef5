import Contracts
import Foundation
import TestSupport

@testable import golden

/// The real `golden` program, run in a data folder of its own with stand-ins for the services.
struct Golden: Sendable {
    let folder: StackFolder
    var environment: [String: String] = [:]

    struct Outcome: Sendable {
        let status: Int32
        let output: String
        let errors: String

        var json: JSON { get throws { try JSON(parsing: Array(output.utf8)) } }
    }

    init(_ name: String) throws {
        folder = StackFolder(try temporaryFolder("cli-\(name)").path)
    }

    static let psqlEnvironment = ["PATH": "/usr/bin:/bin", "PGCONNECT_TIMEOUT": "30"]
    static let standIns = "\(Sibling.parent(of: #filePath))/StandIn"

    static var program: String {
        get throws { "\(Sibling.parent(of: try Sibling.ownPath()))/golden" }
    }

    typealias Started = (process: Process, output: Pipe, errors: Pipe)

    /// Starts the program without waiting for it.
    func start(_ arguments: [String], input: String? = nil) throws -> Started {
        let process = Process()
        process.executableURL = URL(filePath: try Self.program)
        process.arguments = arguments
        let own = [
            "GOLDEN_DATA": folder.path, "GOLDEN_BIN": Self.standIns, "GOLDEN_MIGRATIONS": "/", "NO_COLOR": "1",
            "PATH": "/usr/local/bin:/usr/bin:/bin", "HOME": "/tmp",
        ]
        process.environment = own.merging(environment) { $1 }
        let (question, output, errors) = try Spawner.shared.perform {
            let (question, output, errors) = (Pipe(), Pipe(), Pipe())
            process.standardInput = input == nil ? FileHandle.nullDevice : question
            process.standardOutput = output
            process.standardError = errors
            try process.run()
            return (question, output, errors)
        }
        if let input { try question.fileHandleForWriting.write(contentsOf: Data(input.utf8)) }
        try question.fileHandleForWriting.close()
        return (process, output, errors)
    }

    /// Runs the program to its end, waiting on a thread that may be held up.
    @discardableResult
    func run(_ arguments: String..., input: String? = nil) async throws -> Outcome {
        try await run(arguments, input: input)
    }

    @discardableResult
    func run(_ arguments: [String], input: String? = nil) async throws -> Outcome {
        try await blocking { try Self.outcome(of: try start(arguments, input: input)) }
    }

    /// Waits on this thread for the end of what was started. Errors are short enough for their pipe.
    static func outcome(of started: Started) throws -> Outcome {
        let end = ContinuousClock.now + Spawner.limit
        let output = Spawner.bytes(from: started.output, until: end)
        let errors = Spawner.bytes(from: started.errors, until: end)
        guard Spawner.shared.wait(for: started.process, within: end - ContinuousClock.now) else {
            let told = String(decoding: output + errors, as: UTF8.self)
            throw Failed(description: "golden did not end within \(Spawner.limit): \(told)")
        }
        return Outcome(
            status: started.process.terminationStatus, output: String(decoding: output, as: UTF8.self),
            errors: String(decoding: errors, as: UTF8.self)
        )
    }

    /// A stack that is up while `body` runs; stopped and removed afterwards, whatever happened.
    static func withStack(
        _ name: String, environment: [String: String] = [:], _ body: (Golden) async throws -> Void
    ) async throws {
        var golden = try Golden(name)
        golden.environment = environment
        try await golden.removedAfterwards {
            let up = try await golden.run("up", "--detach", "--port", "0")
            guard up.status == 0 else { throw Failed(description: "up: \(up.output)\(up.errors)") }
            try await body(golden)
        }
    }

    /// Stops and removes what `body` started, whatever happened.
    func removedAfterwards(_ body: () async throws -> Void) async throws {
        do {
            try await body()
        } catch {
            try await run("down", "--delete")
            throw error
        }
        try await run("down", "--delete")
    }

    /// The program against a stand-in for the API alone, without any store.
    static func withAPI(_ name: String, _ body: (Golden, _ log: String) async throws -> Void) async throws {
        var golden = try Golden(name)
        let port = freePort()
        let log = "\(golden.folder.path)/api.log"
        let server = ServerProcess(
            "\(standIns)/orchestrator", ["serve"], environment: ["GOLDEN_HTTP_PORT": "\(port)"],
            logFile: URL(filePath: log)
        )
        try await blocking { try server.start { accepts(port: port) } }
        golden.environment = ["GOLDEN_URL": "http://127.0.0.1:\(port)", "GOLDEN_TOKEN": "a.b.c"]
        defer { server.kill() }
        try await body(golden, log)
    }

    struct Failed: Error, CustomStringConvertible {
        let description: String
    }

    /// Answers what the statement answers, without the line break.
    /// - Parameter other: a stack in another folder.
    @discardableResult
    func execute(_ sql: String, in other: StackFolder? = nil) async throws -> String {
        let place = other ?? folder
        guard let secrets = try StackSecrets.load(from: place), let record = try StackRecord.load(from: place) else {
            throw Failed(description: "no stack in \(place.path)")
        }
        let url = StoreAddresses(ports: record.ports, secrets: secrets).postgres
        let outcome = await Tool.run(["psql", "-XAtq", url, "-c", sql], environment: Self.psqlEnvironment)
        guard outcome.isSuccess else { throw Failed(description: outcome.output) }
        return outcome.output.trimmingCharacters(in: .whitespacesAndNewlines)
    }

    /// The processes in the stack's record.
    func record() throws -> StackRecord {
        guard let record = try StackRecord.load(from: folder) else { throw Failed(description: "no record") }
        return record
    }

    func process(_ name: String) throws -> StackRecord.Process {
        guard let process = try record().processes.first(where: { $0.name == name }) else {
            throw Failed(description: "no \(name)")
        }
        return process
    }
}

/// Polls until `condition` holds; false after `seconds`. For what other processes do, which cannot be awaited.
func eventually(seconds: Double = 20, _ condition: () throws -> Bool) async throws -> Bool {
    let end = ContinuousClock.now + .seconds(seconds)
    while ContinuousClock.now < end {
        if try condition() { return true }
        try await Task.sleep(for: .milliseconds(20))
    }
    return false
}
