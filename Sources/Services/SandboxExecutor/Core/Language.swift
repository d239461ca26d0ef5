package import Contracts

/// One language as its file in `sandbox/languages/` describes it: data, read strictly at start.
package struct Language: Sendable, Equatable {
    /// What its warm interpreters are.
    package struct Warm: Sendable, Equatable {
        /// Modules that it imports while it waits stand at the end.
        package let run: [String]
        /// The file of `sandbox/prelude/` that they begin with.
        package let prelude: String
        package let size: Int

        /// What it is called below `/code`.
        package var preludeFile: String { prelude.split(separator: ".").last.map { "prelude.\($0)" } ?? "prelude" }
    }

    package static let sizeMax = 32

    package let id: String
    package let aliases: [String]
    /// Prints its version; run when somebody asks what a host has.
    package let versionCommand: [String]
    /// The main file's name below `/code`: `main.py`.
    package let source: String
    package let compile: [String]
    package let run: [String]
    /// Finds and runs the tests among the files; ends with 5 when there are none. Nil: it has no such command.
    package let test: [String]?
    /// Shown read-only under the same path.
    package let mounts: [String]
    /// Shown where the host has them.
    package let mountsIfPresent: [String]
    package let links: [LaunchSpec.Mount]
    package let environment: [String: String]
    package let limits: SandboxLimits
    /// A policy's name.
    package let seccomp: String
    package let warm: Warm?

    package static let codeFolder = "/code/"

    /// - Throws: what is wrong with which key; also for a key that is unknown.
    package init(json: JSON) throws(JSONError) {
        var file = try JSONReader(json)
        id = try file.string("id")
        aliases = try file.optionalStrings("aliases") ?? []
        versionCommand = try Self.command("version", &file) ?? []
        source = try file.string("source")
        compile = try Self.command("compile", &file) ?? []
        run = try Self.command("run", &file) ?? []
        test = try Self.command("test", &file)
        mounts = try file.optionalStrings("mounts") ?? []
        mountsIfPresent = try file.optionalStrings("mounts_if_present") ?? []
        links = try Self.links(&file)
        environment = try Self.environment(&file)
        if var reader = try file.optionalObject("limits") {
            limits = try SandboxLimits(from: &reader)
        } else {
            limits = SandboxLimits()
        }
        seccomp = try file.string("seccomp")
        warm = try Self.warm(&file)
        try file.refuseUnknown()
        for name in [id, seccomp] + aliases where Name<SandboxLanguageKind>(name) == nil {
            throw file.error("id", "\(name) is not a name")
        }
        guard !run.isEmpty else { throw file.error("run", "is required") }
        guard SandboxProgram.isPath(source) else { throw file.error("source", "must be a path below /code") }
        if let path = (mounts + mountsIfPresent).first(where: { !$0.hasPrefix("/") || $0.contains("..") }) {
            throw file.error("mounts", "\(path) is not an absolute path")
        }
    }

    private static func command(_ name: String, _ file: inout JSONReader) throws(JSONError) -> [String]? {
        guard let words = try file.optionalStrings(name) else { return nil }
        guard let first = words.first, first.hasPrefix("/") || first.hasPrefix("{") else {
            throw file.error(name, "must begin with an absolute path")
        }
        return words
    }

    private static func links(_ file: inout JSONReader) throws(JSONError) -> [LaunchSpec.Mount] {
        guard let json = file.optional("links") else { return [] }
        guard let fields = json.fields else { throw file.error("links", "must be an object of path and target") }
        return try fields.map { field throws(JSONError) in
            guard let target = field.value.string else { throw file.error("links.\(field.name)", "must be a string") }
            return LaunchSpec.Mount(target, field.name)
        }
    }

    private static func environment(_ file: inout JSONReader) throws(JSONError) -> [String: String] {
        guard let json = file.optional("env") else { return [:] }
        var environment: [String: String] = [:]
        for field in json.fields ?? [] {
            guard SandboxProgram.isVariable(field.name), let value = field.value.string else {
                throw file.error("env.\(field.name)", "must be a variable with a string")
            }
            environment[field.name] = value
        }
        return environment
    }

    private static func warm(_ file: inout JSONReader) throws(JSONError) -> Warm? {
        guard var reader = try file.optionalObject("warm") else { return nil }
        let run = try command("run", &reader) ?? []
        let modules = try reader.optionalStrings("preimport") ?? []
        let prelude = try reader.string("prelude")
        let size = try reader.int("size")
        try reader.refuseUnknown()
        guard !run.isEmpty else { throw reader.error("run", "is required") }
        guard SandboxProgram.isPath(prelude), !prelude.contains("/") else {
            throw reader.error("prelude", "must be a file's name")
        }
        guard (0...sizeMax).contains(size) else { throw reader.error("size", "must be from 0 to \(sizeMax)") }
        return Warm(run: run + modules, prelude: prelude, size: size)
    }
}

/// All languages of an installation, by id and alias.
package struct LanguageBook: Sendable, Equatable {
    package let languages: [Language]
    private let names: [String: Int]

    /// - Throws: when two of them bear one name, or there is none.
    package init(_ languages: [Language]) throws(JSONError) {
        var names: [String: Int] = [:]
        for (index, language) in languages.enumerated() {
            for name in [language.id] + language.aliases {
                if let other = names.updateValue(index, forKey: name) {
                    throw JSONError(
                        .wrongShape, path: language.id, "\(name) is a name of \(languages[other].id) already")
                }
            }
        }
        guard !languages.isEmpty else { throw JSONError(.wrongShape, "there is no language") }
        self.languages = languages
        self.names = names
    }

    package subscript(_ name: String) -> Language? { names[name].map { languages[$0] } }
}
