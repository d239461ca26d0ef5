internal import Contracts
internal import Glibc

/// The supervisor's process: takes the folder's lock, runs the stack until a signal, leaves nothing running.
struct ForegroundStack: Sendable {
    let options: StackOptions
    let environment: [String: String]

    /// - Parameter asLines: tell each step as a JSON line on standard output, until the stack is ready.
    func run(asLines: Bool, isJSON: Bool) async throws {
        umask(0o077)
        let report = asLines ? lineReport : consoleReport(isJSON: isJSON)
        do {
            try await StopSignals.with { stop in try await supervise(until: stop, report) }
        } catch {
            let told = error as? CLIError ?? CLIError(.processFailed, "The stack cannot run.", underlying: error)
            report(.failed(told))
            throw asLines ? ExitStatus.other : told
        }
    }

    private func supervise(until stop: Latch, _ report: @escaping @Sendable (UpEvent) -> Void) async throws {
        // First of all, so that whoever started this process can stop it, and no other.
        if let supervisor = ProcessIdentity.current { report(.supervisor(supervisor)) }
        try options.folder.create()
        guard let lock = try FolderLock.acquire(options.folder.lock) else { throw alreadyRunning() }
        let last = readRecord()
        let prepared = try await StackPreparation(options: options, environment: environment).prepare()
        tell(prepared.plan, prepared.record, after: last, report)
        let journal = StackJournal(folder: options.folder, record: prepared.record)
        try await Supervisor(plan: prepared.plan, journal: journal, report: report).run(until: stop)
        // The lock is held until here.
        _ = consume lock
    }

    /// What this start has of earlier ones, and what it has not.
    private func tell(
        _ plan: StackPlan, _ record: StackRecord, after last: StackRecord?, _ report: (UpEvent) -> Void
    ) {
        if options.isAsLastTime, let settings = plan.options.settingsInWords {
            let place = plan.options.agents.isEmpty ? "" : " The agents' commands run in \(plan.options.workFolder)."
            report(.note("As last time: \(settings). Any of these options replaces all of them.\(place)"))
        }
        if let last, last.id != record.id {
            let what = "\(options.folder.path) is a copy, or was put back from one"
            report(.note("\(what): its stores have other ports; the API's is \(record.ports.api)."))
        }
    }

    private func alreadyRunning() -> CLIError {
        let pid = readRecord()?.supervisor.map { " (pid \($0.pid))" } ?? ""
        return CLIError(
            .stackRunning, "A stack already runs on \(options.folder.path)\(pid).", kept: "It goes on untouched.",
            next: "golden status shows it, golden down stops it; another --data DIR and --port N start a second one."
        )
    }

    private func readRecord() -> StackRecord? {
        do { return try StackRecord.load(from: options.folder) } catch { return nil }
    }

    private var lineReport: @Sendable (UpEvent) -> Void {
        let log = options.folder.log(of: "stack")
        return { event in
            FileHandles.standardOutput.write(event.json.text + "\n")
            if case .ready = event {
                // Whoever waited has heard all; from here on the log is the place to look.
                FileHandles.standardOutput.redirect(to: log)
            }
        }
    }

    private func consoleReport(isJSON: Bool) -> @Sendable (UpEvent) -> Void {
        let console = Console(environment: environment, isSupervisors: true)
        let view = UpView(console: console, folder: options.folder, isJSON: isJSON)
        return { view.show($0, isForeground: true) }
    }
}
