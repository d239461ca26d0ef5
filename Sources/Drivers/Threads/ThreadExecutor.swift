internal import Glibc

/// One thread of its own that runs Swift jobs serially, so that blocking C calls never occupy a thread of the
/// cooperative pool (which has about one thread per core: one blocked call there stalls the whole process).
///
/// Use it as an actor's `unownedExecutor` or as a task-executor preference. Jobs run in the order of enqueueing.
/// `stop()` lets queued jobs finish; jobs enqueued after the thread has ended run on the caller's thread, so no
/// continuation is ever lost.
// @unchecked Sendable: `queue` and `state` are guarded by `lock`; the two C objects never move once allocated.
@safe package final class ThreadExecutor: SerialExecutor, TaskExecutor, @unchecked Sendable {
    private enum State { case running, stopping, ended }

    private let lock: UnsafeMutablePointer<pthread_mutex_t>
    private let wakeUp: UnsafeMutablePointer<pthread_cond_t>
    private var queue: [UnownedJob] = []
    private var state = State.running

    /// Starts the thread. `name` is cut to the 15 bytes the kernel shows.
    package init(name: String) {
        unsafe lock = .allocate(capacity: 1)
        unsafe wakeUp = .allocate(capacity: 1)
        unsafe pthread_mutex_init(lock, nil)
        unsafe pthread_cond_init(wakeUp, nil)
        startThread(name: name) { self.loop() }
    }

    deinit {
        unsafe pthread_cond_destroy(wakeUp)
        unsafe pthread_mutex_destroy(lock)
        unsafe wakeUp.deallocate()
        unsafe lock.deallocate()
    }

    package func enqueue(_ job: consuming ExecutorJob) {
        let job = UnownedJob(job)
        unsafe pthread_mutex_lock(lock)
        let ended = state == .ended
        let first = queue.isEmpty
        if !ended { queue.append(job) }
        unsafe pthread_mutex_unlock(lock)
        if ended {
            unsafe job.runSynchronously(on: unsafe asUnownedSerialExecutor())
        } else if first {
            unsafe pthread_cond_signal(wakeUp)
        }
    }

    package func asUnownedSerialExecutor() -> UnownedSerialExecutor { unsafe UnownedSerialExecutor(ordinary: self) }

    package func asUnownedTaskExecutor() -> UnownedTaskExecutor { unsafe UnownedTaskExecutor(ordinary: self) }

    /// Ends the thread once the queue is empty. Idempotent.
    package func stop() {
        unsafe pthread_mutex_lock(lock)
        if state == .running { state = .stopping }
        unsafe pthread_mutex_unlock(lock)
        unsafe pthread_cond_signal(wakeUp)
    }

    private func loop() {
        while let batch = nextBatch() {
            for job in batch {
                unsafe job.runSynchronously(
                    isolatedTo: asUnownedSerialExecutor(), taskExecutor: asUnownedTaskExecutor()
                )
            }
        }
    }

    private func nextBatch() -> [UnownedJob]? {
        unsafe pthread_mutex_lock(lock)
        defer { unsafe pthread_mutex_unlock(lock) }
        while queue.isEmpty && state == .running { unsafe pthread_cond_wait(wakeUp, lock) }
        if queue.isEmpty {
            state = .ended
            return nil
        }
        var batch: [UnownedJob] = []
        swap(&batch, &queue)
        return batch
    }
}
