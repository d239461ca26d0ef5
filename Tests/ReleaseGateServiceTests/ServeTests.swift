import Contracts
import Foundation
import TestSupport
import Testing

/// The executable answers controllers over HTTP.
@Suite struct `The gate's server` {
    private static let token = "a-token-of-some-length"

    private struct Answer: Sendable {
        let status: Int
        let body: String
    }

    private func ask(
        _ port: Int, _ path: String, post: Bool = false, token: String? = token
    ) async throws -> Answer {
        try await blocking {
            var arguments = ["-s", "-w", "\n%{http_code}", "http://127.0.0.1:\(port)\(path)"]
            if let token { arguments += ["-H", "Authorization: Bearer \(token)"] }
            if post {
                arguments += [
                    "-H", "Content-Type: application/json", "-d",
                    #"{"name":"ledger","namespace":"golden","phase":"Progressing"}"#,
                ]
            }
            let lines = try Command.run("curl", arguments).output.split(
                separator: "\n", omittingEmptySubsequences: false)
            return Answer(status: Int(lines.last ?? "") ?? 0, body: lines.dropLast().joined(separator: "\n"))
        }
    }

    @Test func `controllers are told what was decided, and nobody else`() async throws {
        let folder = try ReleaseFolder()
        try folder.writeRelease("1.2.0-rc.1")
        let now = Date()
        try folder.writeLiveEvidence(endingAt: now, badCanary: nil)
        let (port, flaggerPort) = (freePort(), freePort())
        let server = ServerProcess(
            try LineProcess.built("release-gate"),
            [
                "serve", "--config", folder.path + "/gate.yaml", "--release", folder.path + "/release.yaml", "--env",
                "dev",
            ],
            environment: [
                "GOLDEN_GATE_TOKEN": Self.token, "GOLDEN_HTTP_PORT": "\(port)",
                "GOLDEN_GATE_FLAGGER_PORT": "\(flaggerPort)",
            ],
            logFile: URL(filePath: folder.path + "/log"))
        try await blocking {
            try server.start(within: .seconds(60)) { accepts(port: port) && accepts(port: flaggerPort) }
        }
        // Flagger can send no token; its port answers nothing else.
        #expect(try await ask(flaggerPort, "/flagger/rollout", post: true, token: nil).status == 200)
        #expect(try await ask(flaggerPort, "/flagger/rollback", post: true, token: nil).status == 409)
        #expect(try await ask(flaggerPort, "/argo/decision").status == 404)
        #expect(try await ask(flaggerPort, "/metrics", token: nil).status == 404)
        #expect(try await ask(port, "/flagger/rollout", post: true, token: nil).status == 401)
        #expect(try await ask(port, "/argo/decision", token: nil).status == 401)
        #expect(try await ask(port, "/flagger/rollout", post: true, token: "another").status == 401)
        let decision = try await ask(port, "/argo/decision")
        let json = try JSON(parsing: decision.body.utf8)
        #expect(decision.status == 200, "\(decision.body)")
        #expect(json.fields?.first { $0.name == "outcome" }?.value.string == "seal", "\(decision.body)")
        #expect(try await ask(port, "/flagger/confirm-rollout", post: true).status == 200)
        #expect(try await ask(port, "/flagger/rollout", post: true).status == 200)
        #expect(try await ask(port, "/flagger/confirm-promotion", post: true).status == 200)
        #expect(try await ask(port, "/flagger/rollback", post: true).status == 409)
        let metrics = try await ask(port, "/metrics", token: nil)
        #expect(metrics.body.contains("release_version_drift{environment=\"prod\"} 0"))
        let checked = try await blocking {
            try Data(metrics.body.utf8).write(to: URL(filePath: folder.path + "/metrics"))
            return try Command.run("sh", ["-c", "promtool check metrics < '\(folder.path)/metrics'"])
        }
        #expect(checked.status == 0, "\(checked.output)")
        server.terminate()
        #expect(!(try folder.read("log")).contains(Self.token))
    }

    @Test func `a bad canary is answered with a rollback`() async throws {
        let folder = try ReleaseFolder()
        try folder.writeRelease("1.2.0-rc.1")
        try folder.writeLiveEvidence(endingAt: Date(), badCanary: "orders")
        let port = freePort()
        let server = ServerProcess(
            try LineProcess.built("release-gate"),
            [
                "serve", "--config", folder.path + "/gate.yaml", "--release", folder.path + "/release.yaml", "--env",
                "dev",
            ],
            environment: ["GOLDEN_GATE_TOKEN": Self.token, "GOLDEN_HTTP_PORT": "\(port)"],
            logFile: URL(filePath: folder.path + "/log"))
        try await blocking { try server.start(within: .seconds(60)) { accepts(port: port) } }
        #expect(try await ask(port, "/flagger/rollback", post: true).status == 200)
        let refused = try await ask(port, "/flagger/rollout", post: true)
        #expect(refused.status == 409 && refused.body.contains("orders"), "\(refused.body)")
        #expect(try await ask(port, "/flagger/confirm-promotion", post: true).status == 409)
    }
}
