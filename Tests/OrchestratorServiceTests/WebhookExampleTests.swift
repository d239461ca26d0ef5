import Contracts
import Foundation
import TestSupport
import Testing

/// The example receiver does what docs/webhooks.md tells receivers to do.
@Suite(.serialized, .timeLimit(.minutes(5))) struct `Webhook example` {
    static let file = URL(filePath: #filePath).deletingLastPathComponent()
        .appending(path: "../../examples/webhooks_receiver.py").path

    @Test func `the example accepts what Golden sends and nothing else`() async throws {
        try await OrchestratorUnderTest.run(environment: OrchestratorUnderTest.webhookEnvironment) { stack in
            let made = try await stack.post("/webhooks/callback/rotate-secret", nil, token: stack.token())
            let output = try await PythonProgram(
                [Self.file, "0"], environment: ["GOLDEN_WEBHOOK_SECRET": try #require(made["secret"])])
            let port = try #require(output.lines.first?.split(separator: " ").last)
            let body = #"{"callback_url":"http://127.0.0.1:\#(port)/hook"}"#
            try await stack.withAgent(work: { _ in .completed(output: .emptyObject, usage: nil) }) {
                let task = try await stack.submit(body)
                try await stack.waitForDeliveries(1, "delivered")
                let id = try #require(try await stack.deliveries().first?["id"]?.string)
                try await eventually { output.lines.contains("\(id) task.completed \(task)") }
                let replay = try await stack.post("/webhooks/deliveries/\(id)/replay", nil, token: stack.token())
                #expect(replay.status == 202)
                try await stack.waitForDeliveries(1, "delivered")
                #expect(output.lines.count == 2, "What came again was passed over.")
                // Another secret's signature is refused.
                let stranger = try await stack.subscribe("http://127.0.0.1:\(port)/hook")
                _ = try await stack.submit()
                try await eventually {
                    try await stack.deliveries("&webhook=\(stranger.id)").first?["status"]?.int == 401
                }
                #expect(output.lines.count == 2)
            }
        }
    }
}
