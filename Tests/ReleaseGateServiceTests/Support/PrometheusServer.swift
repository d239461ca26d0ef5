import Foundation
import TestSupport

/// A real Prometheus with a past: samples that promtool wrote into its blocks.
final class PrometheusServer: Sendable {
    let url: String
    private let server: ServerProcess

    /// - Parameter openMetrics: the past, in OpenMetrics, each metric's samples together and in order.
    static func started(openMetrics: String) async throws -> PrometheusServer {
        try await blocking { try PrometheusServer(openMetrics: openMetrics) }
    }

    private init(openMetrics: String) throws {
        let folder = try temporaryFolder("prometheus")
        let data = folder.appending(path: "data").path
        let past = folder.appending(path: "past.om")
        try Data(openMetrics.utf8).write(to: past)
        let made = try Command.run(
            "promtool",
            // Blocks of two hours would be hundreds, for a month.
            ["tsdb", "create-blocks-from", "--max-block-duration=24h", "--quiet", "openmetrics", past.path, data])
        guard made.status == 0 else { throw TestFailure(description: "promtool: \(made.output)") }
        let settings = folder.appending(path: "prometheus.yml")
        try Data("global: {scrape_interval: 1h}\n".utf8).write(to: settings)
        let port = freePort()
        url = "http://127.0.0.1:\(port)"
        server = ServerProcess(
            "/usr/bin/prometheus",
            [
                "--config.file=\(settings.path)", "--storage.tsdb.path=\(data)",
                "--web.listen-address=127.0.0.1:\(port)", "--storage.tsdb.retention.time=100y", "--log.level=warn",
            ], logFile: folder.appending(path: "log"))
        try server.start(within: .seconds(60)) { Command.answers("http://127.0.0.1:\(port)/-/ready") }
    }
}

/// What a test needs is not there.
struct TestFailure: Error, CustomStringConvertible {
    let description: String
}

/// Runs a program to its end.
enum Command {
    struct Outcome: Sendable {
        let status: Int32
        let output: String
    }

    static func run(
        _ program: String, _ arguments: [String], environment: [String: String] = [:], folder: String? = nil
    ) throws -> Outcome {
        let process = Process()
        process.executableURL = URL(filePath: "/usr/bin/env")
        process.arguments = [program] + arguments
        process.environment = ProcessInfo.processInfo.environment.merging(environment) { $1 }
        if let folder { process.currentDirectoryURL = URL(filePath: folder) }
        let text = try Spawner.shared.output(of: process)
        return Outcome(status: process.terminationStatus, output: text)
    }

    static func answers(_ url: String) -> Bool {
        do { return try run("curl", ["-sf", "-m", "5", "-o", "/dev/null", url]).status == 0 } catch { return false }
    }
}
