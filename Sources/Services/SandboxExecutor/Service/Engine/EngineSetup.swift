package import Contracts
package import Logging
internal import Processes
internal import SandboxExecutorCore

/// What a start finds out: an engine whose layers were all seen to hold, or why there is none.
package struct EngineSetup: Sendable, CustomStringConvertible {
    let engine: Engine?
    /// Why nothing is served; empty when something is.
    package let reasons: [String]
    let report: SelfTest.Report?
    private let minimum: SandboxTier
    private let unavailable: [String: String]

    /// Tries the tiers, chooses one, and tests every layer it promises. Never throws: what is wrong is the answer.
    package init(_ configuration: EngineConfiguration, logger: Logger) async {
        minimum = configuration.tierMin
        KernelFiles.ignoreBrokenPipes()
        let files: SandboxFiles
        do {
            files = try SandboxFiles(folder: configuration.folder)
            guard KernelFiles.isExecutable(configuration.launcher) else {
                throw SandboxError(.badFiles, "\(configuration.launcher) is not there; set GOLDEN_SANDBOX_LAUNCHER.")
            }
        } catch {
            (engine, report, reasons, unavailable) = (nil, nil, ["\(error)"], [:])
            return
        }
        unavailable = files.unavailable
        let (cgroups, findings) = await Self.explore(configuration, files, logger)
        switch TierChoice.choose(configuration.tier, minimum: configuration.tierMin, findings) {
        case .refuse(let reasons):
            cgroups?.remove()
            (engine, report, self.reasons) = (nil, nil, reasons)
        case .serve(let tier, let inner):
            let engine = Engine(
                configuration, tier: tier, inner: inner, files: files, cgroups: cgroups, logger: logger)
            do {
                let report = try await SelfTest(engine: engine).report()
                self.report = report
                reasons = report.fails.sorted { $0.key.rawValue < $1.key.rawValue }.map { layer, why in
                    "the layer \(layer.rawValue) does not hold: \(why)"
                }
            } catch {
                (report, reasons) = (nil, ["the self-test could not be made: \(error)"])
            }
            if !reasons.isEmpty { cgroups?.remove() }
            self.engine = reasons.isEmpty ? engine : nil
        }
    }

    private static func explore(
        _ configuration: EngineConfiguration, _ files: SandboxFiles, _ logger: Logger
    ) async -> (CgroupHost?, TierChoice.Findings) {
        var findings = TierChoice.Findings()
        var cgroups: CgroupHost?
        do throws(SandboxError) {
            let host = try CgroupHost()
            host.sweep()
            cgroups = host
        } catch {
            findings.cgroups = "\(error.message)" + (error.underlying.map { " (\($0))" } ?? "")
        }
        func tryOut(_ tier: SandboxTier, _ groups: CgroupHost?) async -> String? {
            let engine = Engine(configuration, tier: tier, inner: tier, files: files, cgroups: groups, logger: logger)
            return await SelfTest(engine: engine).firstRun()
        }
        findings.namespaces = await tryOut(.namespaces, cgroups)
        if configuration.tier == .restricted || findings.namespaces != nil || findings.cgroups != nil {
            findings.restricted = await tryOut(.restricted, nil)
        }
        findings.isInsideOuterWall = isInsideOuterWall()
        return (cgroups, findings)
    }

    /// gVisor's kernel names itself.
    private static func isInsideOuterWall() -> Bool {
        do { return try KernelFiles.read("/proc/version").contains("gVisor") } catch { return false }
    }

    /// For who wants the answer alone.
    package func close() async { await engine?.shutdown() }

    package var isServing: Bool { engine != nil }

    /// For `/health` and `sandbox-executor check`: each layer by name, and what it was found to be.
    package var json: JSON {
        JSONWriter.object { writer in
            writer.field("serving", isServing)
            writer.field(ifPresent: "tier", engine?.tier.rawValue)
            writer.field("minimum", minimum.rawValue)
            if let engine {
                let tier = engine.files.tiers[engine.tier]
                writer.field("promises", tier.promises)
                writer.field("does_not_promise", tier.exceptions)
            }
            writer.field("reasons", reasons)
            if let report {
                writer.field("cgroup", report.cgroup)
                writer.field("landlock", report.landlock)
                writer.field(
                    "layers",
                    object: { writer in
                        for layer in Layer.allCases {
                            if report.holds.contains(layer) {
                                let isAbsent = layer == .landlock && report.landlock == 0
                                writer.field(layer.rawValue, isAbsent ? "not in this kernel" : "holds")
                            } else {
                                writer.field(layer.rawValue, report.fails[layer] ?? "not promised by this tier")
                            }
                        }
                    })
            }
            writer.field(
                "languages", array: { writer in for language in languages { writer.element(language) } })
            writer.field(
                "unavailable",
                object: { writer in
                    for (language, why) in unavailable.sorted(by: { $0.key < $1.key }) { writer.field(language, why) }
                })
        }
    }

    /// The same as text.
    package var description: String { json.text }

    private var languages: [String] { engine?.files.languages.languages.map(\.id) ?? [] }
}
