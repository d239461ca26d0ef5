package import Contracts

/// What an installation lets programs ask for, and what a program becomes under it.
package struct ProgramRules: Sendable {
    /// Why a request is not run; the caller's to mend.
    package struct Refusal: Error, Sendable, Equatable {
        package let message: String
    }

    /// For what neither the request nor the language says.
    package static var limitsDefault: SandboxLimits {
        var limits = SandboxLimits()
        limits.wallMilliseconds = 10_000
        limits.cpuMillicores = 1000
        limits.memoryBytes = 256 << 20
        limits.processes = 64
        limits.openFiles = 256
        limits.fileBytes = 64 << 20
        limits.diskBytes = 64 << 20
        limits.inodes = 4096
        limits.outputBytes = 1 << 20
        return limits
    }

    /// The most that any tenant may ask for unless the installation says otherwise.
    package static var ceilingDefault: SandboxLimits {
        var ceiling = SandboxLimits()
        for field in SandboxLimits.fields { ceiling[keyPath: field.path] = field.range.upperBound }
        return ceiling
    }

    /// Names a request may set; a star at the end stands for any rest. Never one that changes how the loader or an
    /// interpreter itself behaves.
    package static let variablesDefault: [String] = ["LANG", "LC_ALL", "TZ"] + variablesOfPrograms

    /// Names that programs alone look at. Of any other an interpreter may take notice at its start and never again.
    private static let variablesOfPrograms = ["DEBUG", "SEED", "APP_*", "INPUT_*", "TASK_*", "TEST_*"]

    /// Of the program's own files and folders, which the launcher's root file system has room for beside its own.
    package static let sourceInodesMax = 400
    /// The same of a warm interpreter, whose `/code` is smaller.
    package static let warmSourceInodesMax = 250

    package let languages: LanguageBook
    package let ceiling: SandboxLimits
    /// Tenants with ceilings of their own.
    package let ceilings: [TenantID: SandboxLimits]
    package let variables: [String]

    package init(
        languages: LanguageBook, ceiling: SandboxLimits = ceilingDefault, ceilings: [TenantID: SandboxLimits] = [:],
        variables: [String] = variablesDefault
    ) {
        self.languages = languages
        self.ceiling = ceiling.filled(from: Self.ceilingDefault)
        self.ceilings = ceilings.mapValues { $0.filled(from: ceiling).filled(from: Self.ceilingDefault) }
        self.variables = variables
    }

    /// What a language's warm interpreters are started with: its program is not known yet. Nil when it has none.
    package func warmPlan(_ language: Language, prelude: [UInt8]) throws(Refusal) -> RunPlan? {
        guard let warm = language.warm else { return nil }
        let file = SandboxProgram.File(path: Language.codeFolder + warm.preludeFile, content: prelude)
        return RunPlan(
            language: language, program: SandboxProgram(language: language.id, source: .code("")), files: [file],
            limits: Self.settled(SandboxLimits(), language, ceiling))
    }

    package func plan(_ program: SandboxProgram, tenant: TenantID) throws(Refusal) -> RunPlan {
        guard let language = languages[program.language] else {
            let known = languages.languages.map(\.id).joined(separator: ", ")
            throw Refusal(message: "There is no language \(program.language) here; there are \(known).")
        }
        if program.isTest, language.test == nil {
            throw Refusal(message: "\(language.id) has no command that finds tests; run them as a program.")
        }
        let ceiling = ceilings[tenant] ?? ceiling
        if let (name, most) = program.limits.above(ceiling).first {
            throw Refusal(message: "limits.\(name) must not be above \(most) here.")
        }
        if let name = program.environment.keys.filter({ !Self.holds(variables, $0) }).min() {
            throw Refusal(
                message: "env.\(name) may not be set; these may: \(variables.joined(separator: ", ")).")
        }
        let limits = Self.settled(program.limits, language, ceiling)
        let sources = try Self.sources(program, language)
        try Self.refuseWhatDoesNotFit(sources, program.inputs, limits)
        let files =
            sources.map { SandboxProgram.File(path: Language.codeFolder + $0.path, content: $0.content) }
            + program.inputs.map { SandboxProgram.File(path: "/box/" + $0.path, content: $0.content) }
        return RunPlan(
            language: language, program: program, files: files, limits: limits,
            canBeWarm: canBeWarm(program, language, sources, limits))
    }

    /// What holds for a request: its own limits, else the language's, else the defaults. Those that it does not name
    /// are lowered to the ceiling without a word.
    private static func settled(
        _ wanted: SandboxLimits, _ language: Language, _ ceiling: SandboxLimits
    ) -> SandboxLimits {
        var limits = wanted.filled(from: language.limits).filled(from: limitsDefault)
        func lower() {
            for field in SandboxLimits.fields {
                if let value = limits[keyPath: field.path], let most = ceiling[keyPath: field.path] {
                    limits[keyPath: field.path] = min(value, most)
                }
            }
        }
        lower()
        if limits.cpuSeconds == nil {
            limits.cpuSeconds = cpuSeconds(limits)
            lower()
        }
        return limits
    }

    /// The CPU time of a process for which nobody set any: so much that real time ends it first.
    private static func cpuSeconds(_ limits: SandboxLimits) -> Int { ((limits.wallMilliseconds ?? 0) + 999) / 1000 + 1 }

    private static func holds(_ names: [String], _ name: String) -> Bool {
        names.contains { $0.hasSuffix("*") ? name.hasPrefix($0.dropLast()) : name == $0 }
    }

    /// What could not even be put where the program finds it is for the caller to mend, not a fault of the sandbox.
    private static func refuseWhatDoesNotFit(
        _ sources: [SandboxProgram.File], _ inputs: [SandboxProgram.File], _ limits: SandboxLimits
    ) throws(Refusal) {
        let (code, box) = (FileSpace(sources), FileSpace(inputs))
        if code.inodes > sourceInodesMax {
            throw Refusal(
                message: "files are \(code.inodes) files and folders; there must not be more than \(sourceInodesMax).")
        }
        if let most = limits.diskBytes, box.bytes > most {
            throw Refusal(
                message: "inputs take \(box.bytes) bytes and limits.disk_bytes is \(most); send less or raise it.")
        }
        if let most = limits.inodes, box.inodes > most {
            throw Refusal(
                message: "inputs need \(box.inodes) inodes and limits.inodes is \(most); send less or raise it.")
        }
    }

    /// A warm interpreter was started before the request: what it would have to know at its start needs a cold one.
    private func canBeWarm(
        _ program: SandboxProgram, _ language: Language, _ sources: [SandboxProgram.File], _ limits: SandboxLimits
    ) -> Bool {
        guard language.warm != nil, language.compile.isEmpty, program.artifacts.isEmpty, !program.isTest,
            program.environment.keys.allSatisfy({ Self.holds(Self.variablesOfPrograms, $0) }),
            FileSpace(sources).inodes <= Self.warmSourceInodesMax
        else { return false }
        let started = Self.settled(SandboxLimits(), language, ceiling)
        guard let wall = limits.wallMilliseconds, wall <= started.wallMilliseconds ?? 0,
            limits.cpuSeconds == started.cpuSeconds || limits.cpuSeconds == Self.cpuSeconds(limits)
        else { return false }
        // What the executor itself watches may differ, and CPU time that real time ends first.
        var others = limits
        others.wallMilliseconds = started.wallMilliseconds
        others.cpuSeconds = started.cpuSeconds
        others.outputBytes = started.outputBytes
        return others == started
    }

    /// By their paths below `/code`.
    private static func sources(
        _ program: SandboxProgram, _ language: Language
    ) throws(Refusal) -> [SandboxProgram.File] {
        switch program.source {
        case .code(let code): return [SandboxProgram.File(path: language.source, content: Array(code.utf8))]
        case .files(let files):
            guard program.isTest || files.contains(where: { $0.path == language.source }) else {
                throw Refusal(message: "files must hold \(language.source), which \(language.id) runs.")
            }
            return files
        }
    }
}

/// A program that may be run, with everything about it settled.
package struct RunPlan: Sendable, Equatable {
    package let language: Language
    package let program: SandboxProgram
    /// By their absolute paths inside.
    package let files: [SandboxProgram.File]
    /// Every field has a value.
    package let limits: SandboxLimits
    /// Whether a warm interpreter may run it.
    package let canBeWarm: Bool

    package init(
        language: Language, program: SandboxProgram, files: [SandboxProgram.File], limits: SandboxLimits,
        canBeWarm: Bool = false
    ) {
        self.language = language
        self.program = program
        self.files = files
        self.limits = limits
        self.canBeWarm = canBeWarm
    }

    /// Output beyond this, both streams together, ends the run.
    package static let outputBytesHard = 8 << 20

    /// The language's own words for what is started; the request's arguments follow them.
    package var command: [String] { program.isTest ? language.test ?? language.run : language.run }

    package var wall: Duration { .milliseconds(limits.wallMilliseconds ?? 10_000) }
}
