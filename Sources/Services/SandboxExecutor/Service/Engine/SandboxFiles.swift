internal import Contracts
internal import Processes
internal import SandboxExecutorCore

/// What `sandbox/` holds, read and checked once at start.
struct SandboxFiles: Sendable {
    let languages: LanguageBook
    /// Languages whose files the host lacks, and why they are left out.
    let unavailable: [String: String]
    /// By file name.
    let preludes: [String: [UInt8]]
    let tiers: TierBook
    /// What is mounted besides a language's own.
    let rootMounts: [LaunchSpec.Mount]
    private let folder: String

    #if arch(arm64)
        private static let architecture = "aarch64"
    #else
        private static let architecture = "x86_64"
    #endif

    init(folder: String) throws(SandboxError) {
        self.folder = folder
        do { tiers = try TierBook(json: JSON(parsing: try KernelFiles.read("\(folder)/tiers.json").utf8)) } catch {
            throw SandboxError(.badFiles, "\(folder)/tiers.json cannot be read.", underlying: error)
        }
        let names = KernelFiles.list("\(folder)/languages").filter { $0.hasSuffix(".json") }
        guard !names.isEmpty else {
            throw SandboxError(.badFiles, "\(folder)/languages holds no language; set GOLDEN_SANDBOX_FOLDER.")
        }
        var languages: [Language] = []
        var unavailable: [String: String] = [:]
        var preludes: [String: [UInt8]] = [:]
        for name in names {
            let path = "\(folder)/languages/\(name)"
            let language: Language
            do {
                language = try Language(json: JSON(parsing: try KernelFiles.read(path).utf8))
            } catch {
                throw SandboxError(.badFiles, "\(path) is no language.", underlying: error)
            }
            guard "\(language.id).json" == name else {
                throw SandboxError(.badFiles, "\(path) calls itself \(language.id).")
            }
            if let prelude = language.warm?.prelude {
                do { preludes[prelude] = Array(try KernelFiles.read("\(folder)/prelude/\(prelude)").utf8) } catch {
                    throw SandboxError(.badFiles, "\(path) names a prelude that is not there.", underlying: error)
                }
            }
            if let reason = try Self.problem(language) {
                unavailable[language.id] = reason
            } else {
                languages.append(language)
            }
        }
        do { self.languages = try LanguageBook(languages) } catch {
            throw SandboxError(.badFiles, "\(folder)/languages: \(error)")
        }
        self.unavailable = unavailable
        self.preludes = preludes
        rootMounts = [LaunchSpec.Mount("\(folder)/rootfs/etc", "/etc")]
        for language in languages where !KernelFiles.exists(policy(language.seccomp)) {
            throw SandboxError(.badFiles, "\(policy(language.seccomp)) is not there.")
        }
    }

    func policy(_ name: String) -> String { "\(folder)/policy/\(name).\(Self.architecture).bpf" }

    /// What a language shows of this host.
    func mounts(_ language: Language) -> [LaunchSpec.Mount] {
        (language.mounts + language.mountsIfPresent.filter(KernelFiles.exists)).map { LaunchSpec.Mount($0, $0) }
    }

    /// Why the host cannot have the language; nil when it can.
    ///
    /// - Throws: when somebody else than the host's owner could change what programs are shown.
    private static func problem(_ language: Language) throws(SandboxError) -> String? {
        for path in language.mounts + language.mountsIfPresent {
            guard let owner = KernelFiles.owner(path) else {
                if language.mounts.contains(path) { return "\(path) is not there" }
                continue
            }
            guard owner.uid == 0 || owner.uid == KernelFiles.effectiveUser, owner.mode & 0o022 == 0 else {
                throw SandboxError(
                    .badFiles, "\(language.id): \(path) must belong to root and be writable by nobody else.")
            }
        }
        let commands = [language.compile.first, language.run.first, language.versionCommand.first].compactMap(\.self)
        return commands.first { $0.hasPrefix("/") && !KernelFiles.isExecutable($0) }.map { "\($0) is not there" }
    }
}
