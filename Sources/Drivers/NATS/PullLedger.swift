/// The credits of a pull consumer: what is asked for, what lies buffered, what is held by the caller.
///
/// Pure; `PullConsumer` carries out what it answers. The rule it keeps: requested + buffered + held never exceeds
/// `capacity`. The server says which request a control message ends, and how much of it was not delivered, so the sum
/// of requested credits is exact even though a delivery does not say which request it answers.
struct PullLedger {
    struct Request: Equatable {
        let id: UInt64
        let batch: Int
    }

    /// What a control message of the server means.
    enum Verdict: Equatable {
        /// A heartbeat, or word of a request that is over already.
        case fine
        /// A request has ended in the ordinary way; ask again.
        case ended
        /// A request failed; ask again after a wait.
        case failed(String)
        /// Nothing is known of the requests any more; subscribe anew.
        case lost(String)
    }

    let capacity: Int
    let holdsUntilSettled: Bool
    private(set) var requested = 0
    private(set) var buffered = 0
    private(set) var held: Set<UInt64> = []
    /// Failures in a row: how long to wait before asking again.
    private(set) var failures = 0
    private(set) var lastHeard: ContinuousClock.Instant
    private(set) var retryAt: ContinuousClock.Instant?
    private var open: [UInt64: Int] = [:]
    private var lastRequest: UInt64 = 0
    private var lastTicket: UInt64 = 0

    init(capacity: Int, holdsUntilSettled: Bool, now: ContinuousClock.Instant) {
        precondition(capacity > 0, "A pull consumer needs a capacity of at least one.")
        self.capacity = capacity
        self.holdsUntilSettled = holdsUntilSettled
        lastHeard = now
    }

    private var wanted: Int { capacity - requested - buffered - held.count }

    /// True when `request` would ask for something. Without holding, half the capacity is asked for at a time, which
    /// keeps a busy consumer supplied at few requests; with holding, every free credit at once.
    func wantsRequest(_ now: ContinuousClock.Instant) -> Bool {
        if let retryAt, now < retryAt { return false }
        if holdsUntilSettled || requested + buffered == 0 { return wanted > 0 }
        return wanted >= max(1, capacity / 2)
    }

    mutating func request(_ now: ContinuousClock.Instant) -> Request? {
        guard wantsRequest(now) else { return nil }
        retryAt = nil
        if requested == 0 { lastHeard = now }
        lastRequest += 1
        let request = Request(id: lastRequest, batch: wanted)
        open[request.id] = request.batch
        requested += request.batch
        return request
    }

    /// A message came; it waits in the buffer now.
    mutating func received(_ now: ContinuousClock.Instant) {
        heard(now)
        buffered += 1
        requested = max(0, requested - 1)
        if requested == 0 { open = [:] }
    }

    /// The caller takes a message. Returns the ticket of its credit, 0 when it keeps none.
    mutating func handOut() -> UInt64 {
        buffered -= 1
        guard holdsUntilSettled else { return 0 }
        lastTicket += 1
        held.insert(lastTicket)
        return lastTicket
    }

    /// The caller is done with it. Settling twice changes nothing.
    mutating func settle(_ ticket: UInt64) {
        held.remove(ticket)
    }

    /// Everything buffered is given back.
    mutating func dropBuffer() {
        buffered = 0
    }

    mutating func status(
        request id: UInt64, code: Int, description: String, pending: Int?, _ now: ContinuousClock.Instant
    ) -> Verdict {
        guard let batch = open[id] else { return .fine }
        switch code {
        case 100:
            heard(now)
            return .fine
        case 404, 408:
            heard(now)
            close(id, undelivered: pending ?? batch)
            return .ended
        case 409 where pending != nil:
            lastHeard = now
            close(id, undelivered: pending ?? batch)
            // The batch is complete, or the next message did not fit what was left of `max_bytes`.
            let isOrdinary = description.hasPrefix("Batch Completed") || description.hasPrefix("Message Size Exceeds")
            return isOrdinary && (pending ?? 0) < batch ? .ended : fail(code, description, now)
        case 409 where !description.hasPrefix("Exceeded"):
            // Consumer deleted, leadership change, server shutdown: without a count nothing is certain. Every open
            // request gets this word; only the first counts.
            lost(now)
            return .lost("\(code) \(description)")
        default:
            // 400, 503 and "Exceeded …": the request was never taken up.
            lastHeard = now
            close(id, undelivered: batch)
            return fail(code, description, now)
        }
    }

    /// A request could not be written.
    mutating func unsent(_ request: Request) {
        guard let batch = open[request.id] else { return }
        close(request.id, undelivered: batch)
    }

    /// The session ended, or its requests are lost: nothing is outstanding any more.
    mutating func reset(_ now: ContinuousClock.Instant) {
        requested = 0
        open = [:]
        lastHeard = now
    }

    /// The world has changed: ask at once.
    mutating func forgetFailures() {
        failures = 0
        retryAt = nil
    }

    /// The requests are gone: nothing is outstanding, and nothing is asked for a while.
    mutating func lost(_ now: ContinuousClock.Instant) {
        reset(now)
        _ = backOff(now)
    }

    /// Waits longer after each failure in a row: 100 ms doubled up to 5 s. False while it waits already, so that many
    /// requests failing together count once.
    private mutating func backOff(_ now: ContinuousClock.Instant) -> Bool {
        if let retryAt, now < retryAt { return false }
        let wait = min(Duration.milliseconds(100 * (1 << min(failures, 6))), .seconds(5))
        failures += 1
        retryAt = now + wait
        return true
    }

    /// When the server is overdue with a heartbeat; nil while nothing is requested.
    func overdue(heartbeat: Duration) -> ContinuousClock.Instant? {
        requested > 0 ? lastHeard + heartbeat * 2 + heartbeat / 4 : nil
    }

    private mutating func fail(_ code: Int, _ description: String, _ now: ContinuousClock.Instant) -> Verdict {
        backOff(now) ? .failed("\(code) \(description)") : .fine
    }

    private mutating func heard(_ now: ContinuousClock.Instant) {
        lastHeard = now
        failures = 0
    }

    private mutating func close(_ id: UInt64, undelivered: Int) {
        open[id] = nil
        requested = open.isEmpty ? 0 : max(0, requested - undelivered)
    }
}
