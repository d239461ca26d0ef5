internal import ArgumentParser
internal import Contracts
internal import FoundationEssentials

/// `golden sandbox run`
struct SandboxRunCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "run", abstract: "Run a program in the sandbox, its output shown as it comes.",
        discussion: """
            Ends with the program's exit code; 128 and the signal's number when one ended it, 124 when its time was up,
            137 at a limit of CPU, memory or output, 125 when the sandbox could not run it. Ctrl-C cancels it.

            EXAMPLES:
              golden sandbox run main.py
              golden sandbox run tool.c --input data/ --timeout 30s -- --verbose data.csv
              echo 'print(6*7)' | golden sandbox run - --language python
              golden sandbox run main.py --artifact report.json --output out/
            """
    )

    @Argument(help: ArgumentHelp("The program, or - for standard input.", valueName: "file"), completion: .file())
    var file: String

    @Argument(help: "The program's own arguments.") var arguments: [String] = []

    @OptionGroup var connection: EndpointOptions
    @OptionGroup var output: OutputOptions

    @Option(help: ArgumentHelp("What it is written in; told by the file's name otherwise.", valueName: "name"))
    var language: String?

    @Option(help: ArgumentHelp("A folder: what is in it lies where the program starts.", valueName: "dir"))
    var input: String?

    @Option(help: ArgumentHelp("How long it may run: 10s, 2m.", valueName: "time")) var timeout: String?

    @Option(help: ArgumentHelp("A file for its standard input.", valueName: "file")) var stdin: String?

    @Option(help: ArgumentHelp("A file or folder to bring back; repeatable.", valueName: "path"))
    var artifact: [String] = []

    @Option(name: .customLong("output"), help: ArgumentHelp("Where to put what is brought back.", valueName: "dir"))
    var folder: String?

    /// No installation allows more.
    private static let secondsMax = 300

    func validate() throws {
        if let timeout, Spans.seconds(timeout).map({ (1...Self.secondsMax).contains($0) }) != true {
            throw ValidationError("--timeout must be such as 10s or 2m, and at most \(Self.secondsMax / 60)m.")
        }
        if let path = artifact.first(where: { !SandboxProgram.isPath($0) }) {
            throw ValidationError("--artifact \(path): must be a path relative to where the program starts.")
        }
        if !artifact.isEmpty, folder == nil { throw ValidationError("--artifact goes with --output DIR.") }
    }

    func run() async throws {
        let environment = Caller.environment
        let console = Console(environment: environment)
        let program = try program()
        let outcome = try await APIClient.with(try connection.endpoint(environment)) { client in
            let run = SandboxRun(client: client, console: console, showsOutput: !output.isJSON)
            let document = try await run.run(program)
            if output.isJSON { console.print(document.text) }
            var reader = try JSONReader(document)
            return try SandboxOutcome(from: &reader)
        }
        if !output.isJSON { Self.explain(outcome, on: console) }
        if let folder { try save(outcome.artifacts, in: folder, console) }
        let end = ProgramEnd(outcome)
        if end.code != 0 { throw end }
    }

    private func program() throws -> SandboxProgram {
        let bytes = try InputFile.read(file, bytesMax: SandboxProgram.codeBytesMax)
        guard let code = String(validating: bytes, as: UTF8.self) else {
            throw CLIError(.usage, "\(file) is not a text in UTF-8.", kept: "Nothing was run.")
        }
        var program = SandboxProgram(
            language: language ?? Self.language(of: file), source: .code(code), inputs: try inputs(),
            arguments: arguments,
            stdin: try stdin.map { try InputFile.read($0, bytesMax: SandboxProgram.stdinBytesMax) } ?? [],
            artifacts: artifact
        )
        program.limits.wallMilliseconds = timeout.flatMap(Spans.seconds).map { $0 * 1000 }
        return program
    }

    private static func language(of file: String) -> String {
        switch file.split(separator: "/").last?.split(separator: ".").last {
        case "js", "mjs", "cjs": "javascript"
        case "sh": "shell"
        case "c": "c"
        default: SandboxProgram.languageDefault
        }
    }

    /// Regular files below the folder, by their paths in it.
    private func inputs() throws -> [SandboxProgram.File] {
        guard let input else { return [] }
        var isFolder = false
        guard FileManager.default.fileExists(atPath: input, isDirectory: &isFolder), isFolder else {
            throw CLIError(.usage, "--input \(input) is no folder.", kept: "Nothing was run.")
        }
        var files: [SandboxProgram.File] = []
        var left = SandboxProgram.filesBytesMax
        for path in try FileManager.default.subpathsOfDirectory(atPath: input).sorted() {
            let attributes = try FileManager.default.attributesOfItem(atPath: "\(input)/\(path)")
            guard attributes[.type] as? FileAttributeType == .typeRegular else { continue }
            guard files.count < SandboxProgram.filesMax else {
                throw CLIError(
                    .usage, "\(input) holds more than \(SandboxProgram.filesMax) files.", kept: "Nothing was run.")
            }
            let content = try InputFile.read("\(input)/\(path)", bytesMax: left)
            left -= content.count
            files.append(SandboxProgram.File(path: path, content: content))
        }
        return files
    }

    /// Their names are the program's words: only those that stay below the folder are taken.
    private func save(_ artifacts: [SandboxOutcome.Artifact], in folder: String, _ console: Console) throws {
        for artifact in artifacts {
            guard SandboxProgram.isPath(artifact.name), let content = artifact.content else {
                console.note("left out: \(Table.printable(artifact.name))")
                continue
            }
            let path = "\(folder)/\(artifact.name)"
            try FileManager.default.createDirectory(
                atPath: Sibling.parent(of: path), withIntermediateDirectories: true)
            try Data(content).write(to: URL(filePath: path), options: .withoutOverwriting)
        }
    }

    private static func explain(_ outcome: SandboxOutcome, on console: Console) {
        let reached = "POST /sandbox/execute takes higher limits."
        switch outcome.status {
        case .ok, .error: break
        case .signal: console.note("golden: signal \(outcome.signal ?? 0) ended the program")
        case .timeout: console.note("golden: the program's time was up; --timeout gives it more")
        case .cpuLimit: console.note("golden: the program used up its CPU time. \(reached)")
        case .memoryLimit: console.note("golden: the program used up its memory. \(reached)")
        case .outputLimit: console.note("golden: the program wrote too much")
        case .canceled: console.note("golden: canceled")
        case .sandboxError: console.note("golden: it could not be run: \(outcome.failure?.message ?? "")")
        }
        for (name, stream) in [("standard output", outcome.stdout), ("standard error", outcome.stderr)]
        where stream.bytesCut > 0 {
            console.note("golden: \(stream.bytesCut) bytes of its \(name) were cut out before its end")
        }
    }
}
