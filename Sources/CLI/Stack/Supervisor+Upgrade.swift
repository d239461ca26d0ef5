internal import FoundationEssentials

/// The upgrade of a running stack: every service is followed by the next build's, one after the other.
///
/// The next build's process gets the same listening socket. It serves once it is ready; then the one before it is asked
/// to stop, answers what it has accepted, and ends. At no moment does nobody listen. The supervisor itself, and the
/// stores, stay as they are.
extension Supervisor {
    static let attendEvery: Duration = .milliseconds(500)
    /// How long a process of the next build may take to be ready.
    static let successionMax: Duration = .seconds(60)

    /// Keeps the logs bounded and carries out what is asked for, until `stop` opens.
    func attend(
        _ batches: inout [[ProcessKeeper]], in group: inout ThrowingTaskGroup<Void, any Error>, until stop: Latch
    ) async {
        let processes = await journal.record.processes.map(\.log)
        let logs = LogFiles(paths: processes + [folder.log(of: "stack")])
        var rotated = ContinuousClock.now
        while !stop.isOpen {
            if ContinuousClock.now - rotated >= LogFiles.checkEvery {
                logs.rotate()
                rotated = .now
            }
            do throws(CLIError) {
                if let request = try UpgradeRequest.take(from: folder) {
                    try await upgrade(request, &batches, in: &group, until: stop)
                }
            } catch {
                FileHandles.standardError.write("\(error)\n")
            }
            await stop.wait(atMost: Self.attendEvery)
        }
    }

    private func upgrade(
        _ request: UpgradeRequest, _ batches: inout [[ProcessKeeper]],
        in group: inout ThrowingTaskGroup<Void, any Error>, until stop: Latch
    ) async throws(CLIError) {
        let report = try UpgradeReport(request, in: folder)
        var replaced: [ProcessSpec] = []
        do {
            let next = plan.following(request)
            let specs = try next.services()
            report.tell(.step("applying the migrations of \(request.programs), creating its streams"))
            try await unlessStopped(stop) { try await Self.prepareStores(next) }
            for spec in specs {
                guard !stop.isOpen else { return report.tell(.failed(Self.stopped)) }
                report.tell(.step("starting the next \(spec.name)"))
                let old = try await follow(spec, &batches, in: &group, until: stop)
                if let old { replaced.append(old) }
                report.tell(.running(spec.name))
            }
            report.tell(.ready(await journal.record))
        } catch {
            let told = error as? CLIError ?? CLIError(.processFailed, "The upgrade failed.", underlying: error)
            for spec in replaced.reversed() where !stop.isOpen {
                report.tell(.step("going back to the \(spec.name) before"))
                do {
                    _ = try await follow(spec, &batches, in: &group, until: stop)
                } catch {
                    report.tell(.step("\(spec.name) stays with the next build: \(error)"))
                }
            }
            report.tell(.failed(told))
        }
    }

    private static var stopped: CLIError {
        CLIError(.processFailed, "The stack was stopped during the upgrade.", next: "golden up starts this build's.")
    }

    /// Before any process of the next build, and while those of this build run: what it adds must not disturb them.
    private static func prepareStores(_ next: StackPlan) async throws(CLIError) {
        let program = try Sibling.path("orchestrator", environment: next.caller)
        let environment = try next.orchestratorEnvironment(index: 0)
        for (words, limit) in [(["migrate", "up"], Tool.wholeDataMax), (["jetstream", "setup"], Tool.runMax)] {
            let outcome = await Tool.run([program] + words, environment: environment, within: limit)
            try outcome.check("orchestrator \(words.joined(separator: " "))", "The stack was not upgraded.")
        }
    }

    /// Starts a process like `spec` beside the one of that name, waits until it serves, and stops the other.
    /// - Returns: what the other was; nil when there was none, as for a sandbox that was not built.
    private func follow(
        _ spec: ProcessSpec, _ batches: inout [[ProcessKeeper]], in group: inout ThrowingTaskGroup<Void, any Error>,
        until stop: Latch
    ) async throws -> ProcessSpec? {
        guard let batch = batches.firstIndex(where: { $0.contains { $0.spec.name == spec.name } }),
            let place = batches[batch].firstIndex(where: { $0.spec.name == spec.name })
        else { return nil }
        let old = batches[batch][place]
        let new = keeper(spec, on: old.socket, follows: true)
        // Stopped with the others, should the stack be stopped meanwhile.
        batches[batch].append(new)
        await launch([new], in: &group)
        do {
            try await unlessStopped(stop) { try await new.waitUntilReady() }
        } catch {
            await new.stop()
            batches[batch].removeLast()
            await journal.forget(new.initialRecord.name)
            throw error
        }
        guard !stop.isOpen else { throw Self.stopped }
        await journal.succeed(spec.name, old: await old.retire(), new: await new.takePlace())
        await old.stop()
        batches[batch].removeLast()
        batches[batch][place] = new
        await journal.forget(await old.name)
        return old.spec
    }
}

extension StackPlan {
    /// The same stack with another build's programs.
    func following(_ request: UpgradeRequest) -> StackPlan {
        var caller = caller
        caller["GOLDEN_BIN"] = request.programs
        caller["GOLDEN_MIGRATIONS"] = request.migrations
        return StackPlan(
            options: options, ports: ports, secrets: secrets, postgresFolder: postgresFolder, caller: caller,
            isRoot: isRoot
        )
    }

    /// Golden's own processes, in the order in which they are upgraded.
    func services() throws(CLIError) -> [ProcessSpec] {
        var services: [ProcessSpec] = []
        for index in 0..<options.orchestrators { services.append(try orchestrator(index)) }
        services += [try peerHub(), try supervisor(), try dlqWorker()]
        if let sandbox = try sandbox() { services.append(sandbox) }
        services += try agents()
        return services + (try observability()?.gateSpecs(environment: baseEnvironment) ?? [])
    }
}
