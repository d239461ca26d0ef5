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
    package static let variablesDefault = [
        "LANG", "LC_ALL", "TZ", "DEBUG", "SEED", "APP_*", "INPUT_*", "TASK_*", "TEST_*",
    ]

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
        let plan = try plan(SandboxProgram(language: language.id, source: .code("")), tenant: Self.nobody)
        let name = warm.prelude.split(separator: ".").last.map { "prelude.\($0)" } ?? "prelude"
        let file = SandboxProgram.File(path: Language.codeFolder + name, content: prelude)
        return RunPlan(language: language, program: plan.program, files: [file], limits: plan.limits)
    }

    private static let nobody = TenantID(literal: "nobody")

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
        if let name = program.environment.keys.filter({ !allows($0) }).min() {
            throw Refusal(
                message: "env.\(name) may not be set; these may: \(variables.joined(separator: ", ")).")
        }
        var limits = program.limits.filled(from: language.limits).filled(from: Self.limitsDefault)
        // What the language or the defaults say is lowered to the tenant's ceiling without a word.
        for field in SandboxLimits.fields {
            if let value = limits[keyPath: field.path], let most = ceiling[keyPath: field.path] {
                limits[keyPath: field.path] = min(value, most)
            }
        }
        if limits.cpuSeconds == nil { limits.cpuSeconds = ((limits.wallMilliseconds ?? 0) + 999) / 1000 + 1 }
        return RunPlan(
            language: language, program: program, files: try Self.files(program, language), limits: limits)
    }

    private func allows(_ name: String) -> Bool {
        variables.contains { $0.hasSuffix("*") ? name.hasPrefix($0.dropLast()) : name == $0 }
    }

    private static func files(_ program: SandboxProgram, _ language: Language) throws(Refusal) -> [SandboxProgram.File]
    {
        let sources: [SandboxProgram.File]
        switch program.source {
        case .code(let code): sources = [SandboxProgram.File(path: language.source, content: Array(code.utf8))]
        case .files(let files):
            guard program.isTest || files.contains(where: { $0.path == language.source }) else {
                throw Refusal(message: "files must hold \(language.source), which \(language.id) runs.")
            }
            sources = files
        }
        return sources.map { SandboxProgram.File(path: Language.codeFolder + $0.path, content: $0.content) }
            + program.inputs.map { SandboxProgram.File(path: "/box/" + $0.path, content: $0.content) }
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

    package init(language: Language, program: SandboxProgram, files: [SandboxProgram.File], limits: SandboxLimits) {
        self.language = language
        self.program = program
        self.files = files
        self.limits = limits
    }

    /// Output beyond this, both streams together, ends the run.
    package static let outputBytesHard = 8 << 20

    /// What is started, with the request's own arguments.
    package var command: [String] {
        (program.isTest ? language.test ?? language.run : language.run) + program.arguments
    }

    package var wall: Duration { .milliseconds(limits.wallMilliseconds ?? 10_000) }

    /// A warm interpreter was started before the request: what it would have to know at its start needs a cold one.
    package var canBeWarm: Bool {
        guard language.warm != nil, language.compile.isEmpty, program.artifacts.isEmpty, !program.isTest else {
            return false
        }
        var limits = program.limits
        limits.outputBytes = nil
        if let wall = limits.wallMilliseconds, wall <= ProgramRules.limitsDefault.wallMilliseconds ?? 0 {
            limits.wallMilliseconds = nil
        }
        return limits.isEmpty
    }
}
