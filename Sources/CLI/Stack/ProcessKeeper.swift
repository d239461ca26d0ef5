internal import Subprocess

/// Runs one process and runs it again when it ends, until told to stop.
actor ProcessKeeper {
    static let backoffFirst: Duration = .milliseconds(200)
    static let backoffMax: Duration = .seconds(10)
    /// A process that ran this long starts with the shortest backoff again.
    static let healthyAfter: Duration = .seconds(30)
    /// This many ends within `crashWindow` count as a crash loop.
    static let crashesMax = 5
    static let crashWindow: Duration = .seconds(60)
    static let probeEvery: Duration = .milliseconds(40)

    nonisolated let spec: ProcessSpec
    /// The process before it was first started.
    nonisolated let initialRecord: StackRecord.Process
    /// What it serves on, from one start to the next.
    nonisolated let socket: ListeningSocket?
    /// Where its first process says that it has taken another's place; nil when there is none before it.
    private let handover: String?
    private let log: String
    private let isRoot: Bool
    private let changed: @Sendable (StackRecord.Process) async -> Void
    private let stopping = Latch()
    private let ended = Latch()
    /// Opens when the process is ready for the first time, or ended before it was.
    private let settled = Latch()
    private var record: StackRecord.Process
    private var wasReady = false
    private var ends: [ContinuousClock.Instant] = []
    private var backoff = ProcessKeeper.backoffFirst

    /// - Parameters:
    ///   - handover: a file; its first process runs beside another that serves the same socket, and becomes ready by
    ///     writing its id there.
    ///   - changed: hears of every change; awaited, so that it is written down before anything else happens.
    init(
        _ spec: ProcessSpec, socket: ListeningSocket? = nil, handover: String? = nil, log: String, isRoot: Bool,
        changed: @escaping @Sendable (StackRecord.Process) async -> Void
    ) {
        self.spec = spec
        self.socket = socket
        self.handover = handover
        self.log = log
        self.isRoot = isRoot
        self.changed = changed
        initialRecord = StackRecord.Process(
            name: handover == nil ? spec.name : StackRecord.Process.following(spec.name), identity: nil,
            state: .starting, address: spec.address, restarts: 0, lastExit: nil,
            log: log
        )
        record = initialRecord
    }

    /// Returns after `stop`.
    func run() async {
        while !stopping.isOpen, !Task.isCancelled {
            let started = ContinuousClock.now
            await runOnce()
            settled.open()
            guard !stopping.isOpen else { break }
            let now = ContinuousClock.now
            ends = ends.filter { now - $0 < Self.crashWindow } + [now]
            if now - started > Self.healthyAfter { backoff = Self.backoffFirst }
            record.restarts += 1
            await change(ends.count >= Self.crashesMax ? .crashLooping : .restarting)
            await stopping.wait(atMost: max(backoff, spec.restartAfter))
            backoff = min(backoff * 2, Self.backoffMax)
        }
        record.identity = nil
        await change(.stopped)
        ended.open()
        settled.open()
    }

    /// Returns when the process first does its work.
    /// - Throws: when it ended, or was not ready in time; the end of its log is in the message.
    func waitUntilReady() async throws(CLIError) {
        let inTime = await settled.wait(atMost: spec.readyWithin)
        if wasReady { return }
        let what =
            inTime
            ? "ended before it was ready (\(record.lastExit ?? "no reason known"))"
            : "was not ready within \(spec.readyWithin.components.seconds) s"
        throw CLIError(
            .processFailed, "\(spec.name) \(what).\n\(LogFiles.tail(log))", next: "The whole log: \(log)"
        )
    }

    var name: String { record.name }

    /// The record under the name that this process has from now on.
    func takePlace() -> StackRecord.Process {
        record.name = spec.name
        return record
    }

    /// The record under another name, since this one's is given away.
    func retire() -> StackRecord.Process {
        record.name = StackRecord.Process.retired(spec.name)
        return record
    }

    /// Ends the process in good order, or kills it and its group after `spec.stopWithin`.
    func stop() async {
        stopping.open()
        if record.state != .stopped { await change(.stopping) }
        record.identity?.send(spec.stopSignal.rawValue)
        if await ended.wait(atMost: spec.stopWithin) { return }
        record.lastExit = "killed after \(spec.stopWithin.components.seconds) s"
        record.identity?.sendToGroup(9)
        await ended.wait()
    }

    private func runOnce() async {
        do throws(CLIError) {
            try await prepare()
        } catch {
            record.lastExit = "could not be prepared: \(error.message)"
            return
        }
        guard !stopping.isOpen, !Task.isCancelled else { return }
        var options = PlatformOptions()
        // A group of its own: Ctrl-C in a terminal reaches the supervisor alone, which stops all in order.
        options.processGroupID = 0
        let line = spec.commandLine(log: log, isRoot: isRoot, passesSocket: socket != nil)
        var variables = spec.environment
        if let file = pendingHandover {
            removeHandover(file)
            variables["GOLDEN_HANDOVER_FILE"] = file
        }
        let environment = Dictionary(uniqueKeysWithValues: variables.map { (Environment.Key(stringLiteral: $0), $1) })
        do {
            let configuration = Configuration(
                executable: .name(line[0]), arguments: Arguments(Array(line.dropFirst())),
                environment: .custom(environment),
                platformOptions: options
            )
            record.lastExit = "\(try await execute(configuration))"
        } catch {
            record.lastExit = "could not be started: \(error)"
        }
        record.identity = nil
    }

    /// What comes before a start, which may take hours. Given up when the process is to stop.
    private func prepare() async throws(CLIError) {
        guard let body = spec.prepare else { return }
        let isFirst = record.restarts == 0
        typealias Outcome = Result<Void, CLIError>
        let outcome = await withTaskGroup(of: Outcome.self) { [stopping] group -> Outcome in
            group.addTask {
                do throws(CLIError) {
                    try await body(isFirst)
                    return .success(())
                } catch {
                    return .failure(error)
                }
            }
            group.addTask {
                await stopping.wait()
                return .success(())
            }
            defer { group.cancelAll() }
            return await group.next() ?? .success(())
        }
        try outcome.get()
    }

    private func execute(_ configuration: Configuration) async throws -> TerminationStatus {
        if let socket, let input = Self.input(socket) {
            return try await Subprocess.run(configuration, input: input, output: .discarded, error: .discarded) {
                execution in
                await self.watch(execution.processIdentifier.value)
            }.terminationStatus
        }
        return try await Subprocess.run(configuration, input: .none, output: .discarded, error: .discarded) {
            execution in
            await self.watch(execution.processIdentifier.value)
        }.terminationStatus
    }

    /// The socket as standard input, the one descriptor besides the outputs that a process can be given.
    private static func input(_ socket: ListeningSocket) -> FileDescriptorInput? {
        func typed<Descriptor: RawRepresentable<CInt>>(_ descriptor: CInt) -> Descriptor? {
            Descriptor(rawValue: descriptor)
        }
        return typed(socket.descriptor).map { .fileDescriptor($0, closeAfterSpawningProcess: false) }
    }

    private var pendingHandover: String? { wasReady ? nil : handover }

    private func removeHandover(_ file: String) {
        do {
            try StackFolder.remove(file)
        } catch {
            // It holds another process's id then, which is not waited for.
            FileHandles.standardError.write("\(error)\n")
        }
    }

    /// Writes the new process down, then probes it until it is ready or gone.
    private func watch(_ pid: Int32) async {
        guard let identity = ProcessIdentity(runningAs: pid) else { return }
        record.identity = identity
        await change(stopping.isOpen ? .stopping : .starting)
        if stopping.isOpen { identity.send(spec.stopSignal.rawValue) }
        let probe = pendingHandover.map { Probe.announced(file: $0, by: pid) } ?? spec.probe
        if case .alive(let time) = probe { await stopping.wait(atMost: time) }
        while identity.isRunning, !stopping.isOpen {
            if await probe.check() {
                guard identity.isRunning, !stopping.isOpen else { return }
                if let file = pendingHandover { removeHandover(file) }
                wasReady = true
                await change(.ready)
                settled.open()
                return await guardAgainstHanging(identity)
            }
            await stopping.wait(atMost: Self.probeEvery)
        }
    }

    /// Kills what has not answered for too long: it would not end by itself.
    private func guardAgainstHanging(_ identity: ProcessIdentity) async {
        guard let liveness = spec.liveness else { return }
        var answered = ContinuousClock.now
        while identity.isRunning, !stopping.isOpen {
            await stopping.wait(atMost: spec.livenessEvery)
            if await liveness.check() { answered = .now }
            if ContinuousClock.now - answered > spec.silentMax, !stopping.isOpen {
                identity.sendToGroup(9)
                return
            }
        }
    }

    private func change(_ state: StackRecord.Process.State) async {
        record.state = state
        await changed(record)
    }
}
