import Contracts
import Foundation
import Postgres
import Storage
import Synchronization
import Testing

/// However large, odd or slow some letters are, the others go their way.
@Suite(.serialized, .timeLimit(.minutes(5))) struct `Limits of dead letters` {
    private static func letter(
        _ id: String, of tenant: TenantID = WorkerUnderTest.tenant, reason: String = "r",
        _ payload: [UInt8] = Array("{}".utf8)
    ) -> FiledLetter {
        FiledLetter(
            messageID: id, subject: "prc.x.probe", family: "prc.x.probe", fingerprint: "f", payload: payload,
            headers: [:], tenant: tenant, task: nil, reason: reason, error: nil, errorCount: 1, stream: nil,
            streamSequence: nil, consumer: nil, firstSeen: nil, lastSeen: nil)
    }

    @Test func `numbers and ids that there cannot be keep neither their letters nor others from being filed`()
        async throws
    {
        try await WorkerUnderTest.run { test in
            // No index holds it, and it does not get much shorter.
            let long = (0..<200).map { _ in UUID().uuidString }.joined()
            let attempts = ["5", "99999999999", "-1", String(repeating: "9", count: 40), "5"]
            for (number, attempts) in attempts.enumerated() {
                try await test.bury(
                    Array("{}".utf8), subject: "prc.x.probe", id: number == 4 ? long : "\(number)", attempts: attempts)
            }
            // All are there before the worker, which takes them at once.
            let worker = try await test.worker()
            let found = try await test.letters(attempts.count)
            #expect(found.map(\.errorCount).sorted() == [0, 1, 5, 5, Int(Int32.max)])
            await worker.stop()
        }
    }

    @Test func `old letters are taken for the archive by their size, not only by their number`() async throws {
        try await WorkerUnderTest.run { test in
            let payload = [UInt8](repeating: 0x41, count: 1 << 20)
            for number in 0..<20 { _ = try await test.store.file([Self.letter("m\(number)", payload)]) }
            try await test.pool.execute(AgeLetters())
            let sizes = Sizes()
            var count = 0
            repeat {
                count = try await test.store.retire(olderThan: .seconds(86_400), limit: 500) { sizes.add($0) }
            } while count > 0
            #expect(sizes.all.reduce(0, +) == 20 << 20 && sizes.all.count == 3, "\(sizes.all)")
            #expect(sizes.all.allSatisfy { $0 <= DeadLetterStore.batchBytesMax + (1 << 20) }, "\(sizes.all)")
            #expect(try await test.store.list(DeadLetterPage(tenant: WorkerUnderTest.tenant, limit: 5)).isEmpty)
        }
    }

    @Test func `the slow replays of some tenants keep no other tenant's waiting`() async throws {
        try await WorkerUnderTest.run { test in
            var slow: [Replay] = []
            for name in ["one", "two", "three"] {
                let tenant = try #require(TenantID(name))
                for reason in ["a", "b", "c"] {
                    let letters = (0..<100).map { Self.letter("\(name)-\(reason)-\($0)", of: tenant, reason: reason) }
                    _ = try await test.store.file(letters)
                    slow.append(try await test.begin(DeadLetterFilter(reason: reason), of: tenant, rate: 1))
                }
            }
            _ = try await test.store.file((0..<2000).map { Self.letter("quick-\($0)") })
            let worker = try await test.worker()
            for replay in slow {
                while try await test.store.replay(replay.id, tenant: replay.tenant)?.replayed == 0 {
                    try await Task.sleep(for: .milliseconds(20))
                }
            }
            let quick = try await test.end(of: test.begin(DeadLetterFilter(reason: "r")))
            #expect(quick.state == .done && quick.replayed == 2000)
            for replay in slow {
                let now = try #require(try await test.store.replay(replay.id, tenant: replay.tenant))
                #expect(now.state == .running && now.replayed < 100)
            }
            await worker.stop()
        }
    }
}

/// What an archive was handed, in bytes.
private final class Sizes: Sendable {
    private let sizes = Mutex<[Int]>([])

    func add(_ letters: [DeadLetterDocument]) {
        let size = letters.reduce(0) { $0 + $1.payload.count }
        sizes.withLock { $0.append(size) }
    }

    var all: [Int] { sizes.withLock { $0 } }
}

/// As if all were resolved long ago.
private struct AgeLetters: PostgresStatement {
    static let sql = """
        UPDATE dlq_messages SET
            created_at = clock_timestamp() - interval '3 days', resolved = true,
            resolved_at = clock_timestamp() - interval '2 days'
        """

    func bind(to bindings: inout PostgresBindings) {}
}
