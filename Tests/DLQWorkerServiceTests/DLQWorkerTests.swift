import Contracts
import Foundation
import MessageBus
import NATS
import Postgres
import Storage
import Testing

@Suite(.serialized, .timeLimit(.minutes(5))) struct `Dead letters` {
    static let hostile: [[UInt8]] = [
        [], [0], [0xFF, 0xFE, 0x00, 0x41], Array("{\"v\":1}".utf8), Array("'; DROP TABLE tasks; --".utf8),
        Array(repeating: 0x41, count: 1 << 19), Array("\u{202E}\u{0}\n".utf8),
    ]

    static func letter(_ number: Int, _ payload: [UInt8] = Array("{}".utf8)) -> FiledLetter {
        FiledLetter(
            messageID: "m\(number)", subject: "prc.x.probe", family: "prc.x.probe", fingerprint: "f", payload: payload,
            headers: [:], tenant: WorkerUnderTest.tenant, task: nil, reason: "r", error: nil, errorCount: 1,
            stream: nil, streamSequence: nil, consumer: nil, firstSeen: nil, lastSeen: nil)
    }

    @Test func `any bytes are filed once, exactly, with their story`() async throws {
        try await WorkerUnderTest.run { test in
            let workers = [try await test.worker(), try await test.worker()]
            for (index, bytes) in Self.hostile.enumerated() {
                for _ in 1...2 { try await test.bury(bytes, subject: "results.developer.x", id: "letter-\(index)") }
            }
            let found = try await test.letters(Self.hostile.count)
            #expect(found.count == Self.hostile.count)
            var payloads: Set<[UInt8]> = []
            for letter in found {
                let document = try #require(try await test.store.find(letter.id, tenant: WorkerUnderTest.tenant))
                payloads.insert(document.payload)
                #expect(letter.reason == "undecodable" && letter.error == "bad" && letter.errorCount == 5)
                #expect(document.headers.text.contains(#""kept":"yes""#) || document.headers.text.contains("kept"))
            }
            #expect(payloads == Set(Self.hostile))
            for worker in workers { await worker.stop() }
        }
    }

    @Test func `ten thousand letters of twelve causes are twelve lines`() async throws {
        try await WorkerUnderTest.run { test in
            let letters = (0..<10_000).map { number in
                FiledLetter(
                    messageID: "m\(number)", subject: "results.developer.\(UUID())", family: "results.developer.*",
                    fingerprint: "cause \(number % 12)", payload: Array("{}".utf8), headers: [:],
                    tenant: WorkerUnderTest.tenant, task: nil, reason: "undecodable", error: "cause \(number % 12)",
                    errorCount: 1, stream: nil, streamSequence: nil, consumer: nil, firstSeen: nil, lastSeen: nil)
            }
            for start in stride(from: 0, to: letters.count, by: 1000) {
                _ = try await test.store.file(Array(letters[start..<(start + 1000)]))
            }
            let groups = try await test.store.groups(DeadLetterFilter(), tenant: WorkerUnderTest.tenant)
            #expect(groups.count == 12)
            #expect(groups.reduce(0) { $0 + $1.count } == 10_000)
            let one = try await test.store.count(
                DeadLetterFilter(cause: groups[0].cause), tenant: WorkerUnderTest.tenant)
            #expect(one == groups[0].count)
        }
    }

    @Test func `a replay sends each letter again once, without the story of its death`() async throws {
        try await WorkerUnderTest.run { test in
            let worker = try await test.worker()
            let heard = try test.bus.subscribeRaw(Channel<RawPayload>.replayProbe, bufferCount: 64)
            for number in 1...5 {
                try await test.bury(Array("{\"n\":\(number)}".utf8), subject: "prc.x.probe", id: "p\(number)")
            }
            _ = try await test.letters(5)
            let ended = try await test.end(of: test.begin(DeadLetterFilter(subject: "prc.>")))
            #expect(ended.state == .done && ended.replayed == 5 && ended.skipped == 0)
            var bodies: Set<String> = []
            var ids: Set<String> = []
            for await message in heard {
                bodies.insert(String(decoding: message.payload, as: UTF8.self))
                ids.insert(message.headers[MessageHeader.messageID] ?? "")
                #expect(message.headers[MessageHeader.replayOf] != nil)
                #expect(message.headers[MessageHeader.reason] == nil && message.headers["kept"] == "yes")
                if bodies.count == 5 { break }
            }
            #expect(bodies.count == 5)
            let settled = try await test.letters(5, isResolved: true)
            #expect(settled.allSatisfy { $0.replayCount == 1 && $0.resolution?.notes == "replayed" })
            // Their histories name the message that was sent and the replay, though nobody wrote it out for each.
            for letter in settled {
                let document = try #require(try await test.store.find(letter.id, tenant: WorkerUnderTest.tenant))
                let last = try #require(document.history.array?.last?.fields)
                let story = Dictionary(last.map { ($0.name, $0.value.string ?? "") }) { first, _ in first }
                #expect(story["what"] == "replayed" && story["replay_id"] == ended.id.description)
                #expect(ids.contains(story["message_id"] ?? "none"))
            }
            let again = try await test.end(of: test.begin(DeadLetterFilter(subject: "prc.>")))
            #expect(again.total == 0 && again.replayed == 0)
            await worker.stop()
        }
    }

    @Test func `a replay that was stopped goes on where it was, with another worker`() async throws {
        try await WorkerUnderTest.run { test in
            var worker = try await test.worker()
            _ = try await test.store.file((0..<400).map { Self.letter($0) })
            let replay = try await test.begin(DeadLetterFilter(reason: "r"), rate: 10)
            // One batch is a second's worth.
            var now = replay
            while now.replayed == 0 {
                now = try #require(try await test.store.replay(replay.id, tenant: replay.tenant))
                try await Task.sleep(for: .milliseconds(20))
            }
            _ = try #require(try await test.store.stop(replay.id, tenant: replay.tenant))
            await worker.kill()
            let stopped = try await test.end(of: replay)
            #expect(stopped.state == .stopped && stopped.replayed < 400)
            worker = try await test.worker()
            _ = try #require(try await test.store.resume(replay.id, tenant: replay.tenant))
            try await test.pool.execute(HurryReplay(id: replay.id))
            let ended = try await test.end(of: replay)
            #expect(ended.state == .done)
            #expect(try await test.letters(400, isResolved: true).allSatisfy { $0.replayCount == 1 })
            await worker.stop()
        }
    }

    @Test func `what a worker sent and did not note is noted by another, and not stored twice`() async throws {
        try await WorkerUnderTest.run { test in
            _ = try await test.store.file((0..<30).map { Self.letter($0) })
            let replay = try await test.begin(DeadLetterFilter(reason: "r"))
            let dead = try #require(try await test.store.claim())
            let batch = try await test.store.next(of: replay, after: nil, limit: 10)
            #expect(batch.letters.count == 10 && !batch.isLast)
            for letter in batch.letters {
                _ = try await test.bus.publishRaw(
                    subject: Subject(stored: letter.subject), payload: letter.payload, id: "replay:\(letter.id):1")
            }
            let worker = try await test.worker()
            // Its lease is not over.
            try await Task.sleep(for: .seconds(1))
            #expect(try await test.store.replay(replay.id, tenant: replay.tenant)?.replayed == 0)
            try await test.pool.execute(EndLease(id: replay.id))
            let ended = try await test.end(of: replay)
            #expect(ended.state == .done && ended.replayed == 30 && ended.skipped == 0)
            // It was not dead, only slow: what it notes now changes nothing.
            let fates = batch.letters.map { LetterFate(of: $0, .replayed) }
            #expect(
                try await test.store.advance(dead, past: batch.letters.last, fates: fates, isDone: false) == nil)
            #expect(try await test.store.replay(replay.id, tenant: replay.tenant) == ended)
            #expect(try await test.letters(30, isResolved: true).allSatisfy { $0.replayCount == 1 })
            let stream = try JSON(parsing: try await test.wire.jetStream("STREAM.INFO.PRC"))
            let state = stream.fields?.first { $0.name == "state" }?.value
            #expect(state?.fields?.first { $0.name == "messages" }?.value.int == 30)
            await worker.stop()
        }
    }

    @Test func `a batch counts once when it is noted late, after a stop, a resume and another worker`() async throws {
        try await WorkerUnderTest.run { test in
            _ = try await test.store.file((0..<20).map { Self.letter($0) })
            let replay = try await test.begin(DeadLetterFilter(reason: "r"))
            let slow = try #require(try await test.store.claim())
            let batch = try await test.store.next(of: replay, after: nil, limit: 10)
            _ = try #require(try await test.store.stop(replay.id, tenant: replay.tenant))
            _ = try #require(try await test.store.resume(replay.id, tenant: replay.tenant))
            let other = try #require(try await test.store.claim())
            // It read five of the same before the slow one noted that it had sent them, and five that it never saw.
            let again = try await test.store.next(of: replay, after: nil, limit: 5)
            func note(_ claim: ClaimedReplay, _ letters: [LetterInHand], isDone: Bool = false) async throws -> Replay? {
                let fates = letters.map { LetterFate(of: $0, $0.id == letters[1].id ? .taskEnded : .replayed) }
                return try await test.store.advance(claim, past: letters.last, fates: fates, isDone: isDone)
            }
            #expect(try await note(slow, batch.letters) == nil)
            let late = try #require(try await test.store.replay(replay.id, tenant: replay.tenant))
            #expect(late.replayed == 9 && late.skipped == 1 && late.state == .running)
            let noted = try #require(try await note(other, again.letters))
            #expect(noted.replayed == 9 && noted.skipped == 1)
            let place = again.letters.last.map { ReplayPlace($0) }
            let rest = try await test.store.next(of: replay, after: place, limit: 100)
            #expect(rest.letters.count == 10 && rest.isLast)
            let ended = try #require(try await note(other, rest.letters, isDone: true))
            #expect(ended.replayed == 18 && ended.skipped == 2 && ended.state == .done && ended.total == 20)
            #expect(try await note(slow, batch.letters) == nil)
            #expect(try await test.store.replay(replay.id, tenant: replay.tenant) == ended)
        }
    }

    @Test func `a slow replay keeps no other waiting`() async throws {
        try await WorkerUnderTest.run { test in
            _ = try await test.store.file((0..<200).map { Self.letter($0) })
            let slow = try await test.begin(DeadLetterFilter(reason: "r"), rate: 1)
            let worker = try await test.worker()
            while try await test.store.replay(slow.id, tenant: slow.tenant)?.replayed == 0 {
                try await Task.sleep(for: .milliseconds(20))
            }
            let newest = DeadLetterPage(tenant: WorkerUnderTest.tenant, limit: 1)
            let last = try #require(try await test.store.list(newest).first)
            let quick = try await test.end(of: test.begin(DeadLetterFilter(ids: [last.id])))
            #expect(quick.state == .done && quick.replayed == 1)
            let now = try #require(try await test.store.replay(slow.id, tenant: slow.tenant))
            #expect(now.state == .running && now.replayed < 200)
            await worker.stop()
        }
    }

    @Test func `a letter without its subject is filed under the one its header names`() async throws {
        try await WorkerUnderTest.run { test in
            let worker = try await test.worker()
            let subject = "prc." + String(repeating: "x", count: 1018)
            let huge = subject + String(repeating: "y", count: 3000)
            for original in [subject, huge] {
                _ = try await test.bus.publishRaw(
                    subject: .renamedDeadLetter, payload: Array("{}".utf8), id: "renamed-\(original.count)",
                    headers: [MessageHeader.originalSubject: original, MessageHeader.tenant: "acme"])
            }
            let found = try await test.letters(2)
            let cut = String(huge.prefix(Subject.originalBytesMax))
            #expect(Set(found.map(\.originalSubject)) == [subject, cut])
            let ended = try await test.end(of: test.begin(DeadLetterFilter()))
            #expect(ended.replayed == 1 && ended.skipped == 1)
            #expect(try await test.letters(1, isResolved: false).map(\.originalSubject) == [cut], "it is no subject")
            await worker.stop()
        }
    }

    @Test func `large letters come in small batches, and all of them come`() async throws {
        try await WorkerUnderTest.run { test in
            let letters = (0..<12).map { number in
                Self.letter(number, [0] + [UInt8](repeating: 0x41, count: number == 5 ? 400_000 : 60_000))
            }
            _ = try await test.store.file(letters)
            let replay = try await test.begin(DeadLetterFilter(reason: "r"))
            var found: [LetterInHand] = []
            var sizes: [Int] = []
            var batch: LetterBatch
            repeat {
                batch = try await test.store.next(
                    of: replay, after: found.last.map { ReplayPlace($0) }, limit: 5, bytesMax: 200_000)
                found += batch.letters
                sizes.append(batch.letters.count)
            } while !batch.isLast && sizes.count < 20
            #expect(Set(found.map(\.id)).count == 12 && found.count == 12)
            // In base64 each is 80 kB and one 533 kB: a batch ends with the letter that goes beyond the bound.
            #expect(sizes.allSatisfy { $0 <= 3 } && batch.isLast, "\(sizes)")
            let worker = try await test.worker()
            let ended = try await test.end(of: replay)
            #expect(ended.replayed == 12)
            await worker.stop()
        }
    }

    @Test func `letters of an unknown task stay for people, what no stream takes too`() async throws {
        try await WorkerUnderTest.run { test in
            let worker = try await test.worker()
            try await test.bury(Array("{}".utf8), subject: "results.developer.\(UUID())", id: "a")
            try await test.bury(Array("{}".utf8), subject: "nowhere.at.all", id: "b")
            _ = try await test.letters(2)
            let ended = try await test.end(of: test.begin(DeadLetterFilter()))
            #expect(ended.replayed == 0 && ended.skipped == 2)
            let left = try await test.letters(2, isResolved: false)
            var stories: [String] = []
            for letter in left {
                let document = try #require(try await test.store.find(letter.id, tenant: WorkerUnderTest.tenant))
                stories.append(document.history.text)
            }
            #expect(stories.contains { $0.contains("unknown_task") })
            #expect(stories.contains { $0.contains("not_deliverable") })
            await worker.stop()
        }
    }

    @Test func `a transient cause is answered once by itself`() async throws {
        try await WorkerUnderTest.run { test in
            let worker = try await test.worker(["GOLDEN_DLQ_ANSWER_SECONDS": "1"])
            let session = UUID()
            try await test.bury(
                Array("{\"v\":1}".utf8), subject: "prc.\(session.uuidString.lowercased()).request", id: "a",
                reason: "deliveries_exhausted")
            let resolved = try await test.letters(1, isResolved: true)
            #expect(resolved[0].resolution?.by == "policy:retry-once" && resolved[0].replayCount == 1)
            await worker.stop()
        }
    }

    @Test func `what a stranger's consumer gave up on is filed with its bytes`() async throws {
        try await WorkerUnderTest.run { test in
            let worker = try await test.worker()
            let ack = try await test.bus.publishRaw(
                subject: Subject(stored: "prc.x.probe"), payload: Array("lost".utf8), id: "lost")
            let advisory = """
                {"type":"io.nats.jetstream.advisory.v1.max_deliver","stream":"PRC","consumer":"stranger",
                 "stream_seq":\(ack.sequence),"deliveries":3}
                """
            for _ in 1...2 {
                _ = try await test.bus.publishRaw(
                    subject: Subject(stored: "$JS.EVENT.ADVISORY.CONSUMER.MAX_DELIVERIES.PRC.stranger"),
                    payload: Array(advisory.utf8), id: nil)
            }
            let letter = try await test.letters(1)[0]
            let document = try #require(try await test.store.find(letter.id, tenant: WorkerUnderTest.tenant))
            #expect(document.payload == Array("lost".utf8))
            #expect(letter.originalSubject == "prc.x.probe" && letter.consumer == "stranger" && letter.errorCount == 3)
            await worker.stop()
        }
    }

    @Test func `resolved letters are archived before they go`() async throws {
        try await WorkerUnderTest.run { test in
            let folder = FileManager.default.temporaryDirectory.appending(path: "golden-dlq-\(UUID())")
            defer { do { try FileManager.default.removeItem(at: folder) } catch { Issue.record(error) } }
            try await test.pool.execute(PlantOldLetter())
            let worker = try await test.worker([
                "GOLDEN_DLQ_ARCHIVE": folder.path(percentEncoded: false), "GOLDEN_DLQ_KEEP_DAYS": "1",
            ])
            var lines = ""
            for _ in 0..<200 where lines.isEmpty {
                try await Task.sleep(for: .milliseconds(50))
                guard FileManager.default.fileExists(atPath: folder.path(percentEncoded: false)) else { continue }
                let files = try FileManager.default.contentsOfDirectory(at: folder, includingPropertiesForKeys: nil)
                if let file = files.first { lines = try String(contentsOf: file, encoding: .utf8) }
            }
            #expect(lines.contains(#""original_subject":"work.old""#))
            // The row goes once the file is on the disk.
            var left = 1
            for _ in 0..<200 where left > 0 {
                left = try await test.store.list(DeadLetterPage(tenant: WorkerUnderTest.tenant, limit: 5)).count
                try await Task.sleep(for: .milliseconds(20))
            }
            #expect(left == 0)
            await worker.stop()
        }
    }
}

extension Channel where Message == RawPayload {
    static var replayProbe: Channel { .allReviewMessages }
}

/// Lets a replay go as fast as it can, and as if its last worker's lease were over.
private struct HurryReplay: PostgresStatement {
    let id: ReplayID

    static let sql = "UPDATE dlq_replays SET rate = 100000, leased_until = NULL WHERE id = $1"

    func bind(to bindings: inout PostgresBindings) { bindings.uuid(id.uuid) }
}

/// As if a replay's last worker had said nothing for longer than it may.
private struct EndLease: PostgresStatement {
    let id: ReplayID

    static let sql = "UPDATE dlq_replays SET leased_until = clock_timestamp() - interval '1 second' WHERE id = $1"

    func bind(to bindings: inout PostgresBindings) { bindings.uuid(id.uuid) }
}

private struct PlantOldLetter: PostgresStatement {
    static let sql = """
        INSERT INTO dlq_messages (
            message_id, original_subject, data, tenant_id, reason, created_at, resolved, resolved_at
        ) VALUES (
            'old', 'work.old', '{}', 'acme', 'r', clock_timestamp() - interval '3 days', true,
            clock_timestamp() - interval '2 days'
        )
        """

    func bind(to bindings: inout PostgresBindings) {}
}
