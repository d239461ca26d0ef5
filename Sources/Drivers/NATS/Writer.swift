internal import DriverThreads
internal import Synchronization

/// The one thread that writes: callers queue and go on, so no caller ever blocks in a socket.
///
/// While there is no session the queue waits; what a broken session did not take stays first in line.
final class Writer: Sendable {
    typealias Job = @Sendable (Session) -> Void

    struct Limits {
        let messageMax: Int
        let bytesMax: Int
        /// How long the server may take to read what is written.
        let timeout: Duration
    }

    /// What the writer asks of, and tells, its owner. Called on the writer thread.
    struct Hooks: Sendable {
        /// A new session is there: attach to it before anything queued is sent.
        let began: @Sendable (Session) -> Void
        /// A call's message is about to be written in that session; false means the call has ended.
        let willSend: @Sendable (UInt64, Int) -> Bool
        /// The connection was closed before it was written; it will be tried again.
        let notSent: @Sendable (UInt64) -> Void
        /// A message could not be written: the call it belongs to, if any, and why.
        let failed: @Sendable (UInt64?, Session.Sent) -> Void
    }

    private enum Command {
        case message(Outgoing)
        case job(Job)

        var sizeBytes: Int {
            switch self {
            case .message(let message): message.sizeBytes
            case .job: 0
            }
        }

        /// The call that waits for an answer to it.
        var call: UInt64? {
            switch self {
            case .message(let message): message.call
            case .job: nil
            }
        }
    }

    private struct State {
        var queue: [Command] = []
        var queuedBytes = 0
        var session: Session?
        var isFresh = false
        var isBusy = false
        var isStopped = false
    }

    private struct Work {
        let session: Session
        let isFresh: Bool
        let commands: [Command]
    }

    private let limits: Limits
    private let state = Mutex(State())
    private let wakeUp = WakeUp()

    init(limits: Limits) {
        self.limits = limits
    }

    func start(_ hooks: Hooks) {
        startThread(name: "nats-writer") { self.run(hooks) }
    }

    /// Queues messages nobody answers: all of them or none.
    ///
    /// - Throws: `backlogFull` when the queue is at its bound, `closed` after `stop`.
    func enqueue(_ messages: [Outgoing]) throws(NATSError) {
        let size = messages.reduce(0) { $0 + $1.sizeBytes }
        let refusal: NATSError? = state.withLock { state in
            if state.isStopped { return CallLedger.closed }
            guard state.queue.count + messages.count <= limits.messageMax, state.queuedBytes + size <= limits.bytesMax
            else { return NATSError(.backlogFull, "The queue to NATS is full. Nothing was sent; slow down.") }
            for message in messages { state.queue.append(.message(message)) }
            state.queuedBytes += size
            return nil
        }
        if let refusal { throw refusal }
        wakeUp.raise()
    }

    /// Queues the messages of calls; `CallLedger` bounds them, and `remove` takes out those that it no longer counts.
    func enqueue(calls: [Outgoing]) {
        guard !calls.isEmpty else { return }
        state.withLock { state in
            for message in calls where !state.isStopped {
                state.queue.append(.message(message))
                state.queuedBytes += message.sizeBytes
            }
        }
        wakeUp.raise()
    }

    /// The calls whose messages are queued.
    var queuedCalls: [UInt64] { state.withLock { $0.queue.compactMap(\.call) } }

    /// Takes the messages of these calls out of the queue.
    func remove(calls: Set<UInt64>) {
        guard !calls.isEmpty else { return }
        state.withLock { state in
            state.queue.removeAll { command in
                guard let call = command.call else { return false }
                return calls.contains(call)
            }
            state.queuedBytes = state.queue.reduce(0) { $0 + $1.sizeBytes }
        }
    }

    /// Queues work that needs the library. Its callers bound it: at most one of a kind per consumer.
    func enqueue(job: @escaping Job) {
        state.withLock { if !$0.isStopped { $0.queue.append(.job(job)) } }
        wakeUp.raise()
    }

    func begin(_ session: Session) {
        state.withLock { state in
            guard !state.isStopped else { return }
            state.session = session
            state.isFresh = true
        }
        wakeUp.raise()
    }

    func end(session number: Int) {
        state.withLock { if $0.session?.number == number { $0.session = nil } }
    }

    /// Ends the thread after the message it is writing. What is queued is dropped.
    func stop() {
        state.withLock { state in
            state.isStopped = true
            state.queue = []
            state.queuedBytes = 0
            state.session = nil
        }
        wakeUp.raise()
    }

    var isIdle: Bool { state.withLock { $0.queue.isEmpty && !$0.isBusy } }

    private func run(_ hooks: Hooks) {
        while let work = nextWork() {
            if work.isFresh { hooks.began(work.session) }
            var done = 0
            work.session.together(within: limits.timeout) {
                while done < work.commands.count, carryOut(work.commands[done], work.session, hooks) { done += 1 }
            }
            finish(work, done: done)
        }
    }

    private func nextWork() -> Work? {
        while true {
            let (work, isStopped) = state.withLock { state -> (Work?, Bool) in
                if state.isStopped { return (nil, true) }
                guard let session = state.session, state.isFresh || !state.queue.isEmpty else { return (nil, false) }
                let work = Work(session: session, isFresh: state.isFresh, commands: state.queue)
                state.queue = []
                state.queuedBytes = 0
                state.isFresh = false
                state.isBusy = true
                return (work, false)
            }
            if let work { return work }
            if isStopped { return nil }
            wakeUp.wait()
        }
    }

    /// False: the connection is gone and this command must be tried again.
    private func carryOut(_ command: Command, _ session: Session, _ hooks: Hooks) -> Bool {
        switch command {
        case .job(let job):
            job(session)
            return true
        case .message(let message):
            if let call = message.call, !hooks.willSend(call, session.number) { return true }
            let reply = message.call.map { session.inbox + "." + String($0) }
            let sent = session.send(message, reply: reply)
            switch sent {
            case .written:
                return true
            case .notSent:
                if let call = message.call { hooks.notSent(call) }
                return false
            case .refused, .unknown:
                hooks.failed(message.call, sent)
                return true
            }
        }
    }

    private func finish(_ work: Work, done: Int) {
        let left = work.commands[done...]
        state.withLock { state in
            state.isBusy = false
            guard !left.isEmpty, !state.isStopped else { return }
            state.queue.insert(contentsOf: left, at: 0)
            state.queuedBytes += left.reduce(0) { $0 + $1.sizeBytes }
            if state.session === work.session { state.session = nil }
        }
    }
}
