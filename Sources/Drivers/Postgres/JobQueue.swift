internal import DriverThreads
internal import Glibc

/// The pool's one queue: first come, first served; bounded; read by the connections' threads.
///
/// A thread of its own (the watch) refuses jobs whose time to get a connection is over, and ends a shutdown, so that
/// neither ever waits for a connection's thread.
// @unchecked Sendable: every stored variable is guarded by `lock`; the C objects never move once allocated.
@safe final class JobQueue: @unchecked Sendable {
    enum Next {
        case job(any Job)
        case nothing
        case ended
    }

    private static let maxEmptySlots = 1024

    private enum Intake {
        case open
        /// No new jobs; those queued may run until the instant.
        case draining(until: ContinuousClock.Instant)
        /// Queued jobs were refused and running ones stopped; the shutdown is over at the instant.
        case stopping(until: ContinuousClock.Instant)
        case over
    }

    private let lock: UnsafeMutablePointer<pthread_mutex_t>
    private let work: UnsafeMutablePointer<pthread_cond_t>
    private let watch: UnsafeMutablePointer<pthread_cond_t>
    private let halt: UnsafeMutablePointer<pthread_cond_t>
    private let capacity: Int
    private let grace: Duration
    /// Slots before `head` are empty.
    private var jobs: [(any Job)?] = []
    private var head = 0
    private var intake = Intake.open
    private var watchWakes: ContinuousClock.Instant?
    private var workers: [Interruption] = []
    private var workersAlive = 0
    private var connected = 0
    private var lastFailure: PostgresError?

    /// Opens when the shutdown is over.
    let ended = Latch()

    /// - Parameter grace: what a stopped call is given to end, at most, during a shutdown.
    init(capacity: Int, grace: Duration) {
        self.capacity = capacity
        self.grace = grace
        unsafe lock = .allocate(capacity: 1)
        unsafe work = .allocate(capacity: 1)
        unsafe watch = .allocate(capacity: 1)
        unsafe halt = .allocate(capacity: 1)
        unsafe pthread_mutex_init(lock, nil)
        var attributes = pthread_condattr_t()
        unsafe pthread_condattr_init(&attributes)
        unsafe pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC)
        unsafe pthread_cond_init(work, &attributes)
        unsafe pthread_cond_init(watch, &attributes)
        unsafe pthread_cond_init(halt, &attributes)
        unsafe pthread_condattr_destroy(&attributes)
        startThread(name: "pg-watch") { self.watchLoop() }
    }

    deinit {
        unsafe pthread_cond_destroy(work)
        unsafe pthread_cond_destroy(watch)
        unsafe pthread_cond_destroy(halt)
        unsafe pthread_mutex_destroy(lock)
        unsafe work.deallocate()
        unsafe watch.deallocate()
        unsafe halt.deallocate()
        unsafe lock.deallocate()
    }

    // MARK: For callers

    /// Queues the job, or refuses it at once when the queue is full or closed.
    ///
    /// - Parameter follows: a connection's thread says so that asks for its next job right after this; nobody else is
    ///   woken then, who would find the job gone.
    func enqueue(_ job: any Job, follows: Bool = false) {
        let refusal: PostgresError? = locked {
            guard case .open = intake else { return Self.closed }
            guard jobs.count - head < capacity else { return Self.full(capacity) }
            jobs.append(job)
            watchOver(job)
            if !follows { unsafe pthread_cond_signal(work) }
            return nil
        }
        if let refusal { job.refuse(refusal) }
    }

    /// Takes a job out of the queue that has been answered already.
    func remove(_ job: any Job) {
        locked {
            guard let place = jobs[head...].firstIndex(where: { $0 === job }) else { return }
            jobs.remove(at: place)
            if head == jobs.count { clear() }
        }
    }

    /// Stops intake, lets jobs run for `limit`, then refuses and stops the rest. `ended` opens at the latest a grace
    /// after that. Idempotent; a second call changes nothing.
    func close(within limit: Duration) {
        locked {
            guard case .open = intake else { return }
            intake = .draining(until: .now + max(.zero, limit))
            unsafe pthread_cond_broadcast(work)
            unsafe pthread_cond_broadcast(halt)
            unsafe pthread_cond_signal(watch)
        }
    }

    // MARK: For connections' threads

    func workerStarts(_ interruption: Interruption) {
        locked {
            workers.append(interruption)
            workersAlive += 1
        }
    }

    func workerEnds() {
        locked {
            workersAlive -= 1
            unsafe pthread_cond_signal(watch)
        }
    }

    /// A thread stops asking for jobs for a while: whoever waits looks whether it left one behind.
    func steppedAway() {
        locked { _ = unsafe pthread_cond_signal(work) }
    }

    /// Answers true when this ends an outage.
    func connectionMade() -> Bool {
        locked {
            defer { lastFailure = nil }
            connected += 1
            return lastFailure != nil
        }
    }

    func connectionEnded() {
        locked { connected -= 1 }
    }

    /// Answers true when this begins an outage: the threads report it once together.
    func connectionFailed(_ failure: PostgresError) -> Bool {
        locked {
            defer { lastFailure = failure }
            return lastFailure == nil
        }
    }

    /// The next job; `nothing` after `limit` without one; `ended` when the thread should end.
    func next(within limit: Duration) -> Next {
        var end = limit.monotonicEnd
        return locked {
            while true {
                if shouldEnd { return .ended }
                if let job = pop() { return .job(job) }
                if unsafe pthread_cond_timedwait(work, lock, &end) == ETIMEDOUT { return .nothing }
            }
        }
    }

    /// Puts a job back that its connection could not start.
    func putBack(_ job: any Job) {
        locked {
            if head > 0 {
                head -= 1
                jobs[head] = job
            } else {
                jobs.insert(job, at: 0)
            }
            watchOver(job)
            unsafe pthread_cond_signal(work)
        }
    }

    /// Waits before a reconnect. False when the thread should end instead.
    func pause(_ duration: Duration) -> Bool {
        var end = duration.monotonicEnd
        return locked {
            while !shouldEnd {
                if unsafe pthread_cond_timedwait(halt, lock, &end) == ETIMEDOUT { return !shouldEnd }
            }
            return false
        }
    }

    /// True when a thread that is still connecting should give up.
    var isStopping: Bool { locked { shouldEnd } }

    // MARK: Under the lock

    private func locked<R>(_ body: () -> R) -> R {
        unsafe pthread_mutex_lock(lock)
        defer { unsafe pthread_mutex_unlock(lock) }
        return body()
    }

    /// The watch wakes in time to refuse it.
    private func watchOver(_ job: any Job) {
        guard watchWakes.map({ job.acquireDeadline < $0 }) ?? true else { return }
        watchWakes = job.acquireDeadline
        unsafe pthread_cond_signal(watch)
    }

    private var shouldEnd: Bool {
        switch intake {
        case .open: false
        case .draining: head == jobs.count
        case .stopping, .over: true
        }
    }

    private func pop() -> (any Job)? {
        guard head < jobs.count else { return nil }
        let job = jobs[head]
        jobs[head] = nil
        head += 1
        if head == jobs.count {
            clear()
        } else if head >= Self.maxEmptySlots {
            jobs.removeFirst(head)
            head = 0
        }
        return job
    }

    private func clear() {
        jobs.removeAll(keepingCapacity: true)
        head = 0
    }

    private func takeAll() -> [any Job] {
        defer { clear() }
        return jobs[head...].compactMap { $0 }
    }

    private func takeExpired(_ now: ContinuousClock.Instant) -> [any Job] {
        let waiting = jobs[head...].compactMap { $0 }
        let expired = waiting.filter { $0.acquireDeadline <= now }
        guard !expired.isEmpty else { return [] }
        jobs = waiting.filter { $0.acquireDeadline > now }
        head = 0
        return expired
    }

    // MARK: The watch

    private enum Order {
        case refuse([any Job], PostgresError)
        case stop([any Job], [Interruption])
        case end([any Job])
    }

    private func watchLoop() {
        while true {
            switch nextOrder() {
            case .refuse(let jobs, let error): for job in jobs { job.refuse(error) }
            case .stop(let jobs, let workers):
                for job in jobs { job.refuse(Self.closed) }
                for worker in workers { worker.request(.closing) }
            case .end(let jobs):
                for job in jobs { job.refuse(Self.closed) }
                return ended.open()
            }
        }
    }

    /// Waits until something is due.
    private func nextOrder() -> Order {
        locked {
            while true {
                let now = ContinuousClock.now
                let expired = takeExpired(now)
                if !expired.isEmpty { return .refuse(expired, connected > 0 ? Self.exhausted : unreachable) }
                watchWakes = jobs[head...].lazy.compactMap { $0?.acquireDeadline }.min()
                switch intake {
                case .open: break
                case .draining(let end):
                    if workersAlive == 0 { return over() }
                    if now >= end {
                        intake = .stopping(until: now + grace)
                        unsafe pthread_cond_broadcast(work)
                        unsafe pthread_cond_broadcast(halt)
                        return .stop(takeAll(), workers)
                    }
                    watchWakes = min(watchWakes ?? end, end)
                case .stopping(let end):
                    if workersAlive == 0 || now >= end { return over() }
                    watchWakes = min(watchWakes ?? end, end)
                case .over: return over()
                }
                guard let wakes = watchWakes else {
                    unsafe pthread_cond_wait(watch, lock)
                    continue
                }
                var end = (wakes - now).monotonicEnd
                unsafe pthread_cond_timedwait(watch, lock, &end)
            }
        }
    }

    private func over() -> Order {
        intake = .over
        unsafe pthread_cond_broadcast(work)
        unsafe pthread_cond_broadcast(halt)
        return .end(takeAll())
    }

    // MARK: What refused callers are told

    static let closed = PostgresError(.closed, "The pool is shut down. Nothing was sent.")

    private static let exhausted = PostgresError(
        .poolExhausted, "All connections stayed busy for the acquire timeout. Nothing was sent; try again later."
    )

    private static func full(_ capacity: Int) -> PostgresError {
        PostgresError(
            .overloaded, "\(capacity) calls wait for a connection already. Nothing was sent; try again later."
        )
    }

    private var unreachable: PostgresError {
        lastFailure ?? PostgresError(.connectFailed, "There is no connection to the database yet. Nothing was sent.")
    }
}
