/// What is to be run: the body of `POST /sandbox/execute`.
///
/// Everything in it is the caller's and hostile; it is bounded here, and held against the language and the tenant's
/// ceilings where it is run.
package struct SandboxProgram: Sendable, Equatable {
    package static let languageDefault = "python"
    package static let codeBytesMax = 1 << 20
    package static let stdinBytesMax = 1 << 20
    package static let filesMax = 32
    package static let filesBytesMax = 8 << 20
    package static let pathBytesMax = 200
    package static let argumentsMax = 64
    package static let argumentBytesMax = 4096
    package static let variablesMax = 32
    package static let variableBytesMax = 4096
    package static let artifactsMax = 32
    /// The whole as JSON, with files as base64.
    package static let bodyBytesMax = 24 << 20
    /// How tests end that were not found; as Python's unittest and pytest do it.
    package static let noTestsCode = 5

    /// A file by its relative path.
    package struct File: Sendable, Equatable {
        package let path: String
        package let content: [UInt8]

        package init(path: String, content: [UInt8]) {
            self.path = path
            self.content = content
        }
    }

    /// The program itself.
    package enum Source: Sendable, Equatable {
        /// One file, under the name the language gives it.
        case code(String)
        /// Several below `/code`; one of them bears the language's name for the main file, unless they are tested.
        case files([File])
    }

    /// A language's id or alias.
    package var language: String
    package var source: Source
    /// True: not the main file is run but the tests among the files, as the language finds them.
    package var isTest = false
    /// Files for it to read, below `/box`, where it starts.
    package var inputs: [File]
    package var arguments: [String]
    package var stdin: [UInt8]
    package var environment: [String: String]
    package var limits: SandboxLimits
    /// Files or folders below `/box` to bring back.
    package var artifacts: [String]

    package init(
        language: String = languageDefault, source: Source, inputs: [File] = [], arguments: [String] = [],
        stdin: [UInt8] = [], environment: [String: String] = [:], limits: SandboxLimits = SandboxLimits(),
        artifacts: [String] = []
    ) {
        self.language = language
        self.source = source
        self.inputs = inputs
        self.arguments = arguments
        self.stdin = stdin
        self.environment = environment
        self.limits = limits
        self.artifacts = artifacts
    }

    /// Relative, normalised, without control characters: `a/b.txt`. Safe to put below any folder.
    package static func isPath(_ path: String) -> Bool {
        guard (1...pathBytesMax).contains(path.utf8.count), path.utf8.allSatisfy({ $0 >= 0x20 && $0 != 0x7F }) else {
            return false
        }
        // Byte by byte, as file systems read it: to Swift a slash with an accent behind it is another character.
        return path.utf8.split(separator: UInt8(ascii: "/"), omittingEmptySubsequences: false).allSatisfy { part in
            !part.isEmpty && !part.elementsEqual(".".utf8) && !part.elementsEqual("..".utf8)
        }
    }

    /// A name a shell could export.
    package static func isVariable(_ name: String) -> Bool {
        guard (1...64).contains(name.utf8.count), let first = name.utf8.first, !(0x30...0x39).contains(first) else {
            return false
        }
        return name.utf8.allSatisfy { byte in
            switch byte {
            case UInt8(ascii: "A")...UInt8(ascii: "Z"), UInt8(ascii: "a")...UInt8(ascii: "z"),
                UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "_"):
                true
            default: false
            }
        }
    }
}

// MARK: As JSON

extension SandboxProgram {
    /// - Throws: what is wrong with which field; also for a field that is unknown.
    package init(json: JSON) throws(JSONError) {
        var body = try JSONReader(json)
        language = try body.optionalString("language") ?? Self.languageDefault
        guard Name<SandboxLanguageKind>(language) != nil else { throw body.error("language", "is not a name") }
        source = try Self.source(&body)
        inputs = try Self.files("inputs", &body) ?? []
        arguments = try body.optionalStrings("argv") ?? []
        stdin = try Self.stdin(&body)
        environment = try Self.environment(&body)
        limits = SandboxLimits()
        if var fields = try body.optionalObject("limits") { limits = try SandboxLimits(from: &fields) }
        artifacts = try body.optionalStrings("artifacts") ?? []
        isTest = try body.optionalBool("test") ?? false
        try body.refuseUnknown()
        guard arguments.count <= Self.argumentsMax,
            arguments.allSatisfy({ $0.utf8.count <= Self.argumentBytesMax })
        else {
            throw body.error(
                "argv", "must not have more than \(Self.argumentsMax) entries of \(Self.argumentBytesMax) bytes")
        }
        guard artifacts.count <= Self.artifactsMax, artifacts.allSatisfy(Self.isPath) else {
            throw body.error("artifacts", "must be at most \(Self.artifactsMax) paths relative to /box")
        }
    }

    private static func source(_ body: inout JSONReader) throws(JSONError) -> Source {
        let code = try body.optionalString("code")
        let files = try files("files", &body)
        switch (code, files) {
        case (let code?, nil):
            guard code.utf8.count <= codeBytesMax else {
                throw body.error("code", "must not be longer than \(codeBytesMax) bytes")
            }
            return .code(code)
        case (nil, let files?):
            guard !files.isEmpty else { throw body.error("files", "must hold the program's main file") }
            guard files.reduce(0, { $0 + $1.content.count }) <= codeBytesMax else {
                throw body.error("files", "must not be longer than \(codeBytesMax) bytes together")
            }
            return .files(files)
        case (nil, nil): throw body.error("code", "is required, or files")
        case (_?, _?): throw body.error("files", "must not come with code; inputs are what the program reads")
        }
    }

    private static func files(_ name: String, _ body: inout JSONReader) throws(JSONError) -> [File]? {
        guard let elements = try body.optionalArray(name) else { return nil }
        guard elements.count <= filesMax else { throw body.error(name, "must not have more than \(filesMax) entries") }
        var files: [File] = []
        var bytes = 0
        for (index, element) in elements.enumerated() {
            var reader = try JSONReader(element, path: "\(name)[\(index)]")
            let path = try reader.string("path")
            guard isPath(path) else {
                throw reader.error("path", "must be a relative path of at most \(pathBytesMax) bytes without . and ..")
            }
            guard !files.contains(where: { collide($0.path, path) }) else {
                throw reader.error("path", "stands in another's way")
            }
            let content = try reader.bytes(text: "content", base64: "base64")
            try reader.refuseUnknown()
            bytes += content.count
            guard bytes <= filesBytesMax else {
                throw body.error(name, "must not be longer than \(filesBytesMax) bytes together")
            }
            files.append(File(path: path, content: content))
        }
        return files
    }

    /// The same, or one is a folder of the other.
    private static func collide(_ left: String, _ right: String) -> Bool {
        let (left, right) = (Array(left.utf8), Array(right.utf8))
        let slash = UInt8(ascii: "/")
        return left == right || left.starts(with: right + [slash]) || right.starts(with: left + [slash])
    }

    private static func stdin(_ body: inout JSONReader) throws(JSONError) -> [UInt8] {
        let bytes = try body.optionalBytes(text: "stdin", base64: "stdin_base64") ?? []
        guard bytes.count <= stdinBytesMax else {
            throw body.error("stdin", "must not be longer than \(stdinBytesMax) bytes")
        }
        return bytes
    }

    private static func environment(_ body: inout JSONReader) throws(JSONError) -> [String: String] {
        guard let json = body.optional("env") else { return [:] }
        guard let fields = json.fields, fields.count <= variablesMax else {
            throw body.error("env", "must be an object of at most \(variablesMax) entries")
        }
        var environment: [String: String] = [:]
        for field in fields {
            guard isVariable(field.name) else { throw body.error("env", "has a name that no variable may have") }
            guard let value = field.value.string, value.utf8.count <= variableBytesMax else {
                throw body.error("env.\(field.name)", "must be a string of at most \(variableBytesMax) bytes")
            }
            environment[field.name] = value
        }
        return environment
    }

    package var json: JSON { JSONWriter.object(write) }

    package func write(to writer: inout JSONWriter) {
        writer.field("language", language)
        switch source {
        case .code(let code): writer.field("code", code)
        case .files(let files): Self.write(files, as: "files", to: &writer)
        }
        if isTest { writer.field("test", true) }
        if !inputs.isEmpty { Self.write(inputs, as: "inputs", to: &writer) }
        if !arguments.isEmpty { writer.field("argv", arguments) }
        if !stdin.isEmpty { OutputText.write(stdin, text: "stdin", base64: "stdin_base64", to: &writer) }
        if !environment.isEmpty {
            writer.field(
                "env",
                object: { writer in
                    for (name, value) in environment.sorted(by: { $0.key < $1.key }) { writer.field(name, value) }
                })
        }
        if !limits.isEmpty { writer.field("limits", object: limits.write) }
        if !artifacts.isEmpty { writer.field("artifacts", artifacts) }
    }

    private static func write(_ files: [File], as name: String, to writer: inout JSONWriter) {
        writer.field(
            name,
            array: { writer in
                for file in files {
                    writer.element(object: {
                        $0.field("path", file.path)
                        OutputText.write(file.content, text: "content", base64: "base64", to: &$0)
                    })
                }
            })
    }
}

package enum SandboxLanguageKind {}
