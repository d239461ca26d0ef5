import Testing

@testable import NATS

extension NATSTests {
    @Suite struct PullLedgerTests {
        let start = ContinuousClock.now

        private func makeLedger(_ capacity: Int, holds: Bool) -> PullLedger {
            PullLedger(capacity: capacity, holdsUntilSettled: holds, now: start)
        }

        @Test func `holding asks for every free credit at once, and only for free ones`() throws {
            var ledger = makeLedger(3, holds: true)
            let answer1 = ledger.request(start)
            #expect(answer1 == PullLedger.Request(id: 1, batch: 3))
            let answer2 = ledger.request(start)
            #expect(answer2 == nil)
            ledger.received(start)
            let ticket = ledger.handOut()
            let answer3 = ledger.request(start)
            #expect(answer3 == nil)
            ledger.settle(ticket)
            ledger.settle(ticket)
            let answer4 = ledger.request(start)
            #expect(answer4 == PullLedger.Request(id: 2, batch: 1))
            #expect(ledger.requested == 3)
        }

        @Test func `without holding half the capacity is asked for at a time`() throws {
            var ledger = makeLedger(8, holds: false)
            let answer5 = ledger.request(start)
            #expect(answer5?.batch == 8)
            for _ in 0..<3 {
                ledger.received(start)
                _ = ledger.handOut()
            }
            let answer6 = ledger.request(start)
            #expect(answer6 == nil)
            ledger.received(start)
            let answer7 = ledger.request(start)
            #expect(answer7 == nil)
            _ = ledger.handOut()
            let answer8 = ledger.request(start)
            #expect(answer8?.batch == 4)
        }

        @Test func `an ended request gives back exactly what it did not deliver`() throws {
            var ledger = makeLedger(10, holds: true)
            let firstAsked = ledger.request(start)
            let first = try #require(firstAsked)
            for _ in 0..<4 {
                ledger.received(start)
                ledger.settle(ledger.handOut())
            }
            let secondAsked = ledger.request(start)
            let second = try #require(secondAsked)
            #expect(ledger.requested == 10)
            // The server spread the deliveries as it liked; only its word counts.
            let verdict = ledger.status(request: first.id, code: 408, description: "", pending: 7, start)
            #expect(verdict == .ended)
            #expect(ledger.requested == 3)
            let repeated = ledger.status(request: first.id, code: 408, description: "", pending: 7, start)
            #expect(repeated == .fine)
            #expect(ledger.requested == 3)
            _ = ledger.status(request: second.id, code: 408, description: "", pending: 3, start)
            #expect(ledger.requested == 0)
        }

        @Test(arguments: [
            (100, "Idle Heartbeat", Int?.none, PullLedger.Verdict.fine, 5),
            (404, "No Messages", nil, .ended, 0),
            (408, "Request Timeout", 5, .ended, 0),
            (409, "Batch Completed", 2, .ended, 0),
            (409, "Message Size Exceeds MaxBytes", 5, .failed("409 Message Size Exceeds MaxBytes"), 0),
            (409, "Exceeded MaxWaiting", nil, .failed("409 Exceeded MaxWaiting"), 0),
            (409, "Consumer Deleted", nil, .lost("409 Consumer Deleted"), 0),
            (409, "Leadership Change", 5, .failed("409 Leadership Change"), 0),
            (503, "No Responders", nil, .failed("503 No Responders"), 0),
            (400, "Bad Request", nil, .failed("400 Bad Request"), 0),
            (499, "From the future", nil, .failed("499 From the future"), 0),
        ])
        func `every control message has one meaning`(
            _ code: Int, _ description: String, _ pending: Int?, _ wanted: PullLedger.Verdict, _ left: Int
        ) throws {
            var ledger = makeLedger(5, holds: true)
            let requestAsked = ledger.request(start)
            let request = try #require(requestAsked)
            let verdict = ledger.status(
                request: request.id, code: code, description: description, pending: pending, start
            )
            #expect(verdict == wanted)
            #expect(ledger.requested == left)
            let isWaiting = !ledger.wantsRequest(start)
            if case .failed = wanted { #expect(isWaiting) }
        }

        @Test func `failures wait longer and longer, up to five seconds, until the server is heard`() throws {
            var ledger = makeLedger(1, holds: true)
            var now = start
            var waits: [Duration] = []
            for _ in 0..<9 {
                let requestAsked = ledger.request(now)
                let request = try #require(requestAsked)
                _ = ledger.status(request: request.id, code: 503, description: "", pending: nil, now)
                let next = try #require(ledger.retryAt)
                waits.append(now.duration(to: next))
                #expect(!ledger.wantsRequest(next - .milliseconds(1)))
                now = next
            }
            #expect(
                waits.prefix(4) == [.milliseconds(100), .milliseconds(200), .milliseconds(400), .milliseconds(800)])
            #expect(waits.last == .seconds(5))
            _ = ledger.request(now)
            ledger.received(now)
            #expect(ledger.failures == 0)
        }

        @Test func `many requests that fail together count as one failure`() throws {
            var ledger = makeLedger(4, holds: true)
            let first = ledger.request(start)
            ledger.received(start)
            ledger.settle(ledger.handOut())
            let second = ledger.request(start)
            var verdicts: [PullLedger.Verdict] = []
            for request in [first, second] {
                let id = try #require(request).id
                verdicts.append(ledger.status(request: id, code: 503, description: "", pending: nil, start))
            }
            #expect(verdicts == [.failed("503 "), .fine])
            #expect(ledger.failures == 1)
            #expect(ledger.requested == 0)
        }

        @Test func `a lost request takes all others with it, once`() throws {
            var ledger = makeLedger(4, holds: true)
            let first = ledger.request(start)
            ledger.received(start)
            ledger.settle(ledger.handOut())
            let second = ledger.request(start)
            var verdicts: [PullLedger.Verdict] = []
            for request in [first, second] {
                let id = try #require(request).id
                let word = "Leadership Change"
                verdicts.append(ledger.status(request: id, code: 409, description: word, pending: nil, start))
            }
            #expect(verdicts == [.lost("409 Leadership Change"), .fine])
            let isWaiting = !ledger.wantsRequest(start)
            #expect(isWaiting)
        }

        @Test func `two missed heartbeats are overdue, and only while something is asked for`() throws {
            var ledger = makeLedger(1, holds: true)
            #expect(ledger.overdue(heartbeat: .seconds(4)) == nil)
            let requestAsked = ledger.request(start)
            let request = try #require(requestAsked)
            #expect(ledger.overdue(heartbeat: .seconds(4)) == start + .seconds(9))
            let later = start + .seconds(4)
            _ = ledger.status(request: request.id, code: 100, description: "", pending: nil, later)
            #expect(ledger.overdue(heartbeat: .seconds(4)) == later + .seconds(9))
        }

        @Test(arguments: [false, true], [1, 2, 7, 64])
        func `whatever happens, the sum stays within the capacity`(_ holds: Bool, _ capacity: Int) throws {
            var generator = SystemRandomNumberGenerator()
            var ledger = makeLedger(capacity, holds: holds)
            var remaining: [UInt64: Int] = [:]
            var tickets: [UInt64] = []
            for _ in 0..<20_000 {
                switch Int.random(in: 0..<6, using: &generator) {
                case 0:
                    if let request = ledger.request(start + .seconds(3600)) { remaining[request.id] = request.batch }
                case 1, 2:
                    guard let id = remaining.keys.randomElement(using: &generator) else { break }
                    remaining[id, default: 0] -= 1
                    if remaining[id] == 0 { remaining[id] = nil }
                    ledger.received(start)
                case 3:
                    guard ledger.buffered > 0 else { break }
                    tickets.append(ledger.handOut())
                case 4:
                    if let ticket = tickets.popLast() { ledger.settle(ticket) }
                default:
                    guard let (id, left) = remaining.randomElement(using: &generator) else { break }
                    remaining[id] = nil
                    _ = ledger.status(request: id, code: 408, description: "", pending: left, start)
                }
                #expect(ledger.requested == remaining.values.reduce(0, +))
                #expect(ledger.requested + ledger.buffered + ledger.held.count <= capacity)
            }
        }
    }
}
