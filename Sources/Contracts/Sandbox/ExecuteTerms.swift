/// What a stage of kind `execute` asks of the sandbox: the tests among the files of the work, found and run as the
/// language does it.
package struct ExecuteTerms: Sendable, Equatable {
    /// The field of the work in which its reviewers find what the sandbox said; nobody else may set it.
    package static let artifactField = "sandbox"
    package static let cpuMillisecondsRange = 1...3_600_000

    /// A language's id or alias.
    package let language: String
    /// Those that are to be others than the language's own.
    package let limits: SandboxLimits
    /// The most CPU time with which the guard `performance_ok` holds; any when nil.
    package let cpuMillisecondsMax: Int?

    package init(language: String, limits: SandboxLimits = SandboxLimits(), cpuMillisecondsMax: Int? = nil) {
        self.language = language
        self.limits = limits
        self.cpuMillisecondsMax = cpuMillisecondsMax
    }

    /// Reads its fields among a stage's others.
    init(from body: inout JSONReader) throws(JSONError) {
        language = try body.optionalString("language") ?? SandboxProgram.languageDefault
        guard Name<SandboxLanguageKind>(language) != nil else { throw body.error("language", "is not a name") }
        if var fields = try body.optionalObject("limits") {
            limits = try SandboxLimits(from: &fields)
        } else {
            limits = SandboxLimits()
        }
        cpuMillisecondsMax = try body.optionalInt("cpu_ms_max")
        if let cpuMillisecondsMax, !Self.cpuMillisecondsRange.contains(cpuMillisecondsMax) {
            throw body.error(
                "cpu_ms_max",
                "must be from \(Self.cpuMillisecondsRange.lowerBound) to \(Self.cpuMillisecondsRange.upperBound)")
        }
    }

    func write(to writer: inout JSONWriter) {
        writer.field("language", language)
        if !limits.isEmpty { writer.field("limits", object: limits.write) }
        writer.field(ifPresent: "cpu_ms_max", cpuMillisecondsMax)
    }
}
