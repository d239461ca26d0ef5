import Contracts
import Foundation
import FoundationNetworking
import Storage
import Synchronization
import Testing

/// What rules and dashboards read of the dlq-worker.
@Suite(.timeLimit(.minutes(2))) struct `Metrics of dead letters` {
    @Test func `unresolved letters are counted, and apart those that may not wait`() async throws {
        try await WorkerUnderTest.run { test in
            let subjects = ["prc.x.probe", "\(Subject.escalationsPrefix).a", "\(Subject.escalationsPrefix).b"]
            let letters = subjects.enumerated().map { number, subject in
                FiledLetter(
                    messageID: "m\(number)", subject: subject, family: subject, fingerprint: "f",
                    payload: Array("{}".utf8), headers: [:], tenant: WorkerUnderTest.tenant, task: nil, reason: "r",
                    error: nil, errorCount: 1, stream: nil, streamSequence: nil, consumer: nil, firstSeen: nil,
                    lastSeen: nil)
            }
            _ = try await test.store.file(letters)
            let port = Mutex(0)
            let worker = try await test.worker { found in port.withLock { $0 = found } }
            var text = ""
            for _ in 0..<1500 where !text.contains("\ndlq_messages_unresolved_critical 2\n") {
                try await Task.sleep(for: .milliseconds(20))
                text = try await Self.metrics(port.withLock { $0 })
            }
            #expect(text.contains("\ndlq_messages_unresolved_critical 2\n"), "\(text)")
            #expect(text.contains("\ndlq_messages_unresolved 3\n"), "\(text)")
            await worker.stop()
        }
    }

    /// Empty while there is no server yet.
    private static func metrics(_ port: Int) async throws -> String {
        if port == 0 { return "" }
        let url = try #require(URL(string: "http://127.0.0.1:\(port)/metrics"))
        return String(decoding: try await URLSession.shared.data(from: url).0, as: UTF8.self)
    }
}
