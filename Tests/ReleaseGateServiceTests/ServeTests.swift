import Contracts
import Foundation
import ReleaseGateCore
import ReleaseGateService
import TestSupport
import Testing

/// The executable answers controllers over HTTP.
@Suite(.timeLimit(.minutes(10))) struct `The gate's server` {
    private static let token = "a-token-of-some-length"

    private struct Answer: Sendable {
        let status: Int
        let body: String
    }

    private func ask(
        _ port: Int, _ path: String, post: Bool = false, token: String? = token
    ) async throws -> Answer {
        try await blocking {
            var arguments = ["-s", "-m", "60", "-w", "\n%{http_code}", "http://127.0.0.1:\(port)\(path)"]
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

    /// The fields of an answer.
    private func said(_ answer: Answer) throws -> [String: JSON] {
        let fields = try JSON(parsing: answer.body.utf8).fields ?? []
        return Dictionary(fields.map { ($0.name, $0.value) }) { $1 }
    }

    /// The server of a folder's release, once it listens.
    private func start(
        _ folder: ReleaseFolder, _ port: Int, flaggerPort: Int? = nil, environment: String = "dev"
    ) async throws -> ServerProcess {
        var settings = ["GOLDEN_GATE_TOKEN": Self.token, "GOLDEN_HTTP_PORT": "\(port)"]
        if let flaggerPort { settings["GOLDEN_GATE_FLAGGER_PORT"] = "\(flaggerPort)" }
        let server = ServerProcess(
            try LineProcess.built("release-gate"),
            [
                "serve", "--config", folder.path + "/gate.yaml", "--release", folder.path + "/release.yaml", "--env",
                environment,
            ], environment: settings, logFile: URL(filePath: folder.path + "/log"))
        try await blocking {
            try server.start(within: .seconds(60)) {
                accepts(port: port) && flaggerPort.map { accepts(port: $0) } ?? true
            }
        }
        return server
    }

    @Test func `controllers are told what was decided, and nobody else`() async throws {
        let folder = try ReleaseFolder()
        try folder.writeRelease("1.2.0-rc.1")
        let now = Date()
        try folder.writeLiveEvidence(endingAt: now, badCanary: nil)
        let (port, flaggerPort) = (freePort(), freePort())
        let server = try await start(folder, port, flaggerPort: flaggerPort)
        // Flagger can send no token; its port answers nothing else.
        #expect(try await ask(flaggerPort, "/flagger/rollout", post: true, token: nil).status == 200)
        #expect(try await ask(flaggerPort, "/flagger/rollback", post: true, token: nil).status == 409)
        #expect(try await ask(flaggerPort, "/argo/decision").status == 404)
        #expect(try await ask(flaggerPort, "/metrics", token: nil).status == 404)
        #expect(try await ask(port, "/flagger/rollout", post: true, token: nil).status == 401)
        #expect(try await ask(port, "/argo/decision", token: nil).status == 401)
        #expect(try await ask(port, "/flagger/rollout", post: true, token: "another").status == 401)
        let decision = try await ask(port, "/argo/decision")
        let said = try said(decision)
        #expect(decision.status == 200, "\(decision.body)")
        #expect(said["outcome"]?.string == "seal" && said["proven"]?.bool == true, "\(decision.body)")
        #expect(try await ask(port, "/flagger/confirm-rollout", post: true).status == 200)
        #expect(try await ask(port, "/flagger/rollout", post: true).status == 200)
        #expect(try await ask(port, "/flagger/confirm-traffic-increase", post: true).status == 200)
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
        let server = try await start(folder, port)
        #expect(try await ask(port, "/flagger/rollback", post: true).status == 200)
        let refused = try await ask(port, "/flagger/rollout", post: true)
        #expect(refused.status == 409 && refused.body.contains("orders"), "\(refused.body)")
        #expect(try await ask(port, "/flagger/confirm-promotion", post: true).status == 409)
        server.terminate()
    }

    @Test func `what the lineage forbids is answered so, whatever is seen`() async throws {
        let folder = try ReleaseFolder()
        try folder.writeRelease("1.2.0-rc.1")
        try folder.writeLiveEvidence(endingAt: Date(), badCanary: nil)
        let release = try folder.release
        let other = LineageEntry.Event(
            atSeconds: 0, environment: .prod, version: try #require(Version("1.1.0")), digests: [], kind: .promote,
            actor: "ann", reason: "from staging")
        try await folder.gate { _ = try await $0.book.record(other) }
        let forbidden = [
            (hook: 409, outcome: "hold", words: "was not promoted to prod"),
            (hook: 200, outcome: "roll_back", words: "was rolled back in prod"),
        ]
        for (hook, outcome, words) in forbidden {
            let port = freePort()
            let server = try await start(folder, port, environment: "prod")
            let begin = try await ask(port, "/flagger/confirm-rollout", post: true)
            #expect(begin.status == 409 && begin.body.contains(words), "\(begin.body)")
            let decision = try await ask(port, "/argo/decision")
            let said = try said(decision)
            #expect(said["outcome"]?.string == outcome && said["row"]?.string == "barred", "\(decision.body)")
            #expect(said["proven"]?.bool == false && decision.body.contains(words), "\(decision.body)")
            #expect(try await ask(port, "/flagger/confirm-traffic-increase", post: true).status == 409)
            #expect(try await ask(port, "/flagger/rollback", post: true).status == hook)
            server.terminate()
            try await folder.gate {
                try await $0.rollback(release, environment: "prod", reason: "it is bad", isArmed: true)
            }
        }
    }

    /// Flagger's way back from a version that a person completed: another canary, with its analysis skipped.
    @Test func `what a person took back, sealed by nobody, may begin and gets no traffic`() async throws {
        let folder = try ReleaseFolder()
        try folder.writeRelease("1.2.0-rc.1")
        try folder.writeLiveEvidence(endingAt: Date(), badCanary: nil)
        let release = try folder.release
        let promotion = LineageEntry.Event(
            atSeconds: 0, environment: .prod, version: release.train.version, digests: release.train.digests,
            kind: .promote, actor: "ann", reason: "from staging")
        try await folder.gate {
            _ = try await $0.book.record(promotion)
            try await $0.rollback(release, environment: "prod", reason: "it is bad", isArmed: true)
        }
        let port = freePort()
        let server = try await start(folder, port, environment: "prod")
        let begin = try await ask(port, "/flagger/confirm-rollout", post: true)
        #expect(begin.status == 200, "\(begin.body)")
        #expect(try await ask(port, "/flagger/rollback", post: true).status == 200)
        #expect(try await ask(port, "/flagger/confirm-traffic-increase", post: true).status == 409)
        #expect(try await ask(port, "/flagger/confirm-promotion", post: true).status == 409)
        let decision = try await ask(port, "/argo/decision")
        let said = try said(decision)
        #expect(said["outcome"]?.string == "roll_back" && said["row"]?.string == "barred", "\(decision.body)")
        server.terminate()
    }

    @Test func `a step without evidence may go on, and nothing is proven by it`() async throws {
        let folder = try ReleaseFolder()
        try folder.writeRelease("1.2.0-rc.1")
        try folder.writeLiveEvidence(endingAt: Date(), badCanary: nil, of: [])
        let port = freePort()
        let server = try await start(folder, port)
        let decision = try await ask(port, "/argo/decision")
        let said = try said(decision)
        #expect(said["outcome"]?.string == "extend", "\(decision.body)")
        #expect(said["goOn"]?.bool == true && said["rollBack"]?.bool == false, "\(decision.body)")
        #expect(said["proven"]?.bool == false, "\(decision.body)")
        #expect(try await ask(port, "/flagger/rollout", post: true).status == 200)
        #expect(try await ask(port, "/flagger/confirm-traffic-increase", post: true).status == 409)
        #expect(try await ask(port, "/flagger/confirm-promotion", post: true).status == 409)
        server.terminate()
    }

    /// Eight of a thousand requests fail on both sides: within a budget of one in a hundred, and not shown to be.
    private func writeBorderline(_ folder: ReleaseFolder, endingAt now: Date) throws {
        var history = SampleHistory()
        let minute = (now.timeIntervalSince1970 / 60).rounded(.down) * 60
        for number in 0...180 {
            let at = Date(timeIntervalSince1970: minute + TimeInterval((number - 120) * 60))
            for (track, times) in [("canary", 1), ("stable", 4)] {
                for (status, count) in [("200", 124), ("500", 1)] {
                    history.add(
                        "http_requests_total", ["service": "ledger", "track": track, "status": status],
                        SeriesSample(at: at, value: Double(number * times * count)))
                }
            }
        }
        try folder.write("evidence.json", history.json.text)
    }

    @Test func `a step is judged as the one that it is`() async throws {
        let folder = try ReleaseFolder()
        try folder.writeRelease("1.2.0-rc.1")
        try folder.keepFirstService()
        try writeBorderline(folder, endingAt: Date())
        let port = freePort()
        let server = try await start(folder, port)
        let steps = [("?step=1", "advance", true), ("?step=3", "extend", false), ("", "extend", false)]
        for (query, outcome, isProven) in steps {
            let decision = try await ask(port, "/argo/decision" + query)
            let said = try said(decision)
            #expect(said["outcome"]?.string == outcome && said["goOn"]?.bool == true, "\(query) \(decision.body)")
            #expect(said["proven"]?.bool == isProven, "\(query) \(decision.body)")
        }
        // Flagger's canary gets more traffic as soon as it is within budget, and is promoted by proof.
        #expect(try await ask(port, "/flagger/confirm-traffic-increase", post: true).status == 200)
        #expect(try await ask(port, "/flagger/confirm-promotion", post: true).status == 409)
        for query in ["?step=0", "?step=4", "?step=one"] {
            let refused = try await ask(port, "/argo/decision" + query)
            #expect(refused.status == 422 && refused.body.contains("step must be 1 to 3"), "\(query) \(refused.body)")
        }
        server.terminate()
    }
}
