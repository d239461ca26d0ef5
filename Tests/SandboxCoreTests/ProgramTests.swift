import Contracts
import Foundation
import SandboxExecutorCore
import Testing

@Suite struct `Programs` {
    static func language(_ change: (inout [String: String]) -> Void = { _ in }) throws -> Language {
        var fields = [
            "id": #""python""#, "aliases": #"["py"]"#, "source": #""main.py""#,
            "run": #"["/usr/bin/python3","-B","{code}/main.py"]"#, "mounts": #"["/usr"]"#, "seccomp": #""strict""#,
            "warm":
                #"{"prelude":"python.py","run":["/usr/bin/python3","{code}/prelude.py"],"preimport":["json"],"size":2}"#,
        ]
        change(&fields)
        let text = "{" + fields.map { "\"\($0.key)\":\($0.value)" }.joined(separator: ",") + "}"
        return try Language(json: JSON(parsing: text.utf8))
    }

    @Test func `a language's file is read whole`() throws {
        let language = try Self.language()
        #expect(language.id == "python" && language.warm?.run.last == "json" && language.compile.isEmpty)
    }

    @Test(arguments: [
        ("unknown", #""x""#), ("source", #""../x""#), ("run", "[]"), ("run", #"["python3"]"#), ("id", #""a b""#),
        ("mounts", #"["usr"]"#), ("mounts", #"["/usr/../etc"]"#), ("limits", #"{"memory":"1GiB"}"#),
        ("limits", #"{"memory_bytes":1}"#), ("env", #"{"1A":"x"}"#), ("aliases", #"["a.b"]"#), ("seccomp", "null"),
        ("warm", #"{"prelude":"../x","run":["/x"],"size":1}"#), ("warm", #"{"prelude":"x","run":["/x"],"size":99}"#),
        ("warm", #"{"prelude":"x","run":["/x"],"size":1,"more":1}"#),
    ])
    func `what is wrong in one stops the start`(key: String, value: String) {
        #expect(throws: JSONError.self) { try Self.language { $0[key] = value } }
    }

    @Test func `two languages share no name`() throws {
        let other = try Self.language { $0["id"] = #""py""# }
        #expect(throws: JSONError.self) { try LanguageBook([try Self.language(), other]) }
        #expect(throws: JSONError.self) { try LanguageBook([]) }
        let book = try LanguageBook([try Self.language()])
        #expect(book["py"]?.id == "python" && book["python"] != nil && book["ruby"] == nil)
    }

    static let tenant = TenantID(literal: "acme")

    static func rules(_ ceilings: [TenantID: SandboxLimits] = [:]) throws -> ProgramRules {
        ProgramRules(languages: try LanguageBook([try language()]), ceilings: ceilings)
    }

    static func program(_ text: String) throws -> SandboxProgram { try SandboxProgram(json: JSON(parsing: text.utf8)) }

    @Test func `the seed's line is a whole request`() throws {
        let program = try Self.program(#"{"code": "import os; os.system(\"cat /etc/passwd\")"}"#)
        let plan = try Self.rules().plan(program, tenant: Self.tenant)
        #expect(plan.language.id == "python" && plan.files.map(\.path) == ["/code/main.py"])
        #expect(plan.limits.wallMilliseconds == 10_000 && plan.limits.cpuSeconds == 11 && plan.canBeWarm)
        for field in SandboxLimits.fields { #expect(plan.limits[keyPath: field.path] != nil, "\(field.name)") }
    }

    @Test(arguments: [
        "{}", #"{"code":"x","files":[]}"#, #"{"files":[]}"#, #"{"code":1}"#, #"{"code":"x","more":1}"#,
        #"{"code":"x","language":"a/b"}"#, #"{"code":"x","argv":"a"}"#, #"{"code":"x","env":{"A=B":"x"}}"#,
        #"{"code":"x","env":{"A":1}}"#, #"{"code":"x","artifacts":["../etc/passwd"]}"#,
        #"{"code":"x","artifacts":["/x"]}"#,
        #"{"code":"x","limits":{"wall_ms":0}}"#, #"{"code":"x","limits":{"wall_ms":300001}}"#,
        #"{"code":"x","limits":{"walls":1}}"#, #"{"code":"x","stdin":"a","stdin_base64":"YQ=="}"#,
        #"{"code":"x","stdin_base64":"?"}"#, #"{"code":"x","inputs":[{"path":"a"}]}"#,
        #"{"code":"x","inputs":[{"path":"a/../b","content":""}]}"#,
        #"{"code":"x","inputs":[{"path":"","content":""}]}"#,
        #"{"code":"x","inputs":[{"path":"a","content":""},{"path":"a","content":""}]}"#,
        #"{"code":"x","inputs":[{"path":"a","content":""},{"path":"a/b","content":""}]}"#,
        "{\"code\":\"x\",\"inputs\":[{\"path\":\"a\\nb\",\"content\":\"\"}]}",
    ])
    func `a malformed request is refused`(text: String) {
        #expect(throws: JSONError.self) { try Self.program(text) }
    }

    @Test(arguments: [
        ("a", true), ("a/b", true), (".a/..b", true), ("a\u{301}/b", true), ("a/\u{301}b", true), ("", false),
        ("/a", false), ("a/", false), ("a//b", false), (".", false), ("a/..", false), ("a/./b", false),
        ("a/../\u{301}b", false), ("../\u{301}", false), ("a/./\u{301}b", false), ("/\u{301}b", false),
        ("a//\u{301}b", false), ("a\u{7F}", false),
    ])
    func `a path is what its bytes say`(path: String, isPath: Bool) {
        #expect(SandboxProgram.isPath(path) == isPath)
    }

    @Test(arguments: [
        (["a", "a/\u{301}b"], false), (["a/\u{301}b", "a"], false), (["a", "a\u{301}/b"], true),
        (["\u{E9}", "e\u{301}"], true), (["\u{E9}", "e\u{301}/b"], true),
    ])
    func `two files stand in each other's way as their bytes do`(paths: [String], fit: Bool) {
        let files = paths.map { #"{"path":"\#($0)","content":""}"# }.joined(separator: ",")
        let text = #"{"code":"x","inputs":[\#(files)]}"#
        if fit {
            #expect(throws: Never.self) { try Self.program(text) }
        } else {
            #expect(throws: JSONError.self) { try Self.program(text) }
        }
    }

    @Test func `bounds hold`() {
        func text(_ count: Int) -> String { String(repeating: "x", count: count) }
        let file = #"{"path":"%","content":""}"#
        let files = (0...32).map { file.replacing("%", with: "f\($0)") }.joined(separator: ",")
        for body in [
            #"{"code":"\#(text((1 << 20) + 1))"}"#, #"{"code":"x","stdin":"\#(text((1 << 20) + 1))"}"#,
            #"{"code":"x","inputs":[\#(files)]}"#, #"{"code":"x","argv":["\#(text(4097))"]}"#,
            #"{"code":"x","inputs":[{"path":"a","content":"\#(text((8 << 20) + 1))"}]}"#,
        ] {
            #expect(throws: JSONError.self) { try Self.program(body) }
        }
    }

    @Test func `a request keeps its form`() throws {
        let text =
            #"{"language":"python","files":[{"path":"main.py","content":"x"},{"path":"b","base64":"/w=="}],"#
            + #""inputs":[{"path":"d/e","content":""}],"argv":["a"],"stdin":"in","env":{"APP_A":"1"},"#
            + #""limits":{"wall_ms":500},"artifacts":["out"]}"#
        #expect(try Self.program(text).json.text == text)
    }

    @Test(arguments: [
        (#"{"code":"x","language":"cobol"}"#, "no language cobol"),
        (#"{"code":"x","env":{"LD_PRELOAD":"x"}}"#, "LD_PRELOAD"),
        (#"{"code":"x","env":{"PYTHONPATH":"x"}}"#, "PYTHONPATH"), (#"{"code":"x","env":{"PATH":"x"}}"#, "PATH"),
        (#"{"files":[{"path":"other.py","content":""}]}"#, "main.py"),
        (#"{"code":"x","limits":{"wall_ms":60000}}"#, "wall_ms"),
    ])
    func `what an installation does not allow is refused by name`(text: String, word: String) throws {
        var low = SandboxLimits()
        low.wallMilliseconds = 5000
        let rules = try Self.rules([Self.tenant: low])
        let program = try Self.program(text)
        do {
            _ = try rules.plan(program, tenant: Self.tenant)
            Issue.record("It was allowed.")
        } catch {
            #expect(error.message.contains(word), "\(error.message)")
        }
    }

    @Test func `a default above the tenant's ceiling is lowered`() throws {
        var low = SandboxLimits()
        low.wallMilliseconds = 5000
        let plan = try Self.rules([Self.tenant: low]).plan(Self.program(#"{"code":"x"}"#), tenant: Self.tenant)
        #expect(plan.limits.wallMilliseconds == 5000 && plan.limits.cpuSeconds == 6)
    }

    @Test(arguments: [
        (#"{"code":"x","argv":["a"],"stdin":"b","env":{"APP_X":"1"}}"#, true),
        (#"{"code":"x","limits":{"wall_ms":500,"output_bytes":10}}"#, true),
        (#"{"code":"x","artifacts":["out"]}"#, false),
        (#"{"code":"x","limits":{"wall_ms":20000}}"#, false),
        (#"{"code":"x","limits":{"memory_bytes":10000000}}"#, false),
        (#"{"code":"x","limits":{"memory_bytes":268435456}}"#, true),
        (#"{"code":"x","limits":{"cpu_seconds":1}}"#, false),
        (#"{"code":"x","env":{"TZ":"Asia/Tokyo"}}"#, false), (#"{"code":"x","env":{"LANG":"C"}}"#, false),
        (#"{"code":"x","env":{"APP_X":"1","LC_ALL":"C"}}"#, false),
        (#"{"files":[{"path":"main.py","content":""},{"path":"prelude.py","content":""}]}"#, true),
    ])
    func `what has to be known at a sandbox's start needs a cold one`(text: String, warm: Bool) throws {
        #expect(try Self.rules().plan(Self.program(text), tenant: Self.tenant).canBeWarm == warm)
    }

    @Test func `a warm interpreter has no more than the tenant's ceilings allow`() throws {
        for field in SandboxLimits.fields {
            var low = SandboxLimits()
            low[keyPath: field.path] = field.range.lowerBound
            let plan = try Self.rules([Self.tenant: low]).plan(Self.program(#"{"code":"x"}"#), tenant: Self.tenant)
            #expect(plan.limits[keyPath: field.path] == field.range.lowerBound, "\(field.name)")
            // These two the executor itself watches.
            #expect(plan.canBeWarm == ["wall_ms", "output_bytes"].contains(field.name), "\(field.name)")
        }
    }

    @Test func `warm interpreters are started with what holds for everybody`() throws {
        var low = SandboxLimits()
        low.memoryBytes = 64 << 20
        let rules = try Self.rules([TenantID(literal: "nobody"): low])
        let warm = try #require(try rules.warmPlan(Self.language(), prelude: [1]))
        #expect(warm.limits.memoryBytes == 256 << 20 && warm.limits.cpuSeconds == 11)
        #expect(warm.files == [SandboxProgram.File(path: "/code/prelude.py", content: [1])])
    }

    // MARK: Room for files

    /// So many files, each that many folders deep.
    static func files(_ count: Int, depth: Int = 0, bytes: Int = 0) -> [SandboxProgram.File] {
        (0..<count).map { number in
            let folders = depth == 0 ? "" : "d\(number)/" + String(repeating: "d/", count: depth - 1)
            return SandboxProgram.File(path: "\(folders)f\(number)", content: [UInt8](repeating: 7, count: bytes))
        }
    }

    static func plan(inputs: [SandboxProgram.File], sources: [SandboxProgram.File]) throws -> RunPlan {
        let main = SandboxProgram.File(path: "main.py", content: [])
        var program = SandboxProgram(source: .files([main] + sources), inputs: inputs)
        program.limits.diskBytes = 1 << 20
        program.limits.inodes = 64
        return try rules().plan(program, tenant: tenant)
    }

    @Test(
        arguments: [
            (files(1, bytes: 2 << 20), [], "limits.disk_bytes"), (files(32, bytes: 32_769), [], "limits.disk_bytes"),
            (files(1, depth: 70), [], "limits.inodes"), (files(1, depth: 63), [], "limits.inodes"),
            ([], files(10, depth: 60), "files"), ([], files(1, depth: 398), "files"),
        ] as [([SandboxProgram.File], [SandboxProgram.File], String)])
    func `files that find no room are the caller's to mend`(
        inputs: [SandboxProgram.File], sources: [SandboxProgram.File], word: String
    ) throws {
        let refusal = #expect(throws: ProgramRules.Refusal.self) { try Self.plan(inputs: inputs, sources: sources) }
        #expect(refusal?.message.contains(word) == true, "\(refusal?.message ?? "")")
    }

    @Test(
        arguments: [
            (files(1, bytes: 1 << 20), []), (files(32, bytes: 32_768), []), (files(1, depth: 62), []),
            ([], files(1, depth: 397)), ([], files(5, depth: 60)),
        ] as [([SandboxProgram.File], [SandboxProgram.File])])
    func `files that just find room are run`(
        inputs: [SandboxProgram.File], sources: [SandboxProgram.File]
    ) throws {
        #expect(try Self.plan(inputs: inputs, sources: sources).files.count == inputs.count + sources.count + 1)
    }

    @Test func `a folder is counted once, and contents in pages`() {
        let space = FileSpace([
            SandboxProgram.File(path: "a/b/c", content: [UInt8](repeating: 0, count: 4097)),
            SandboxProgram.File(path: "a/b/d", content: [1]), SandboxProgram.File(path: "e", content: []),
        ])
        #expect(space.bytes == 3 * 4096 && space.inodes == 6)
    }

    @Test func `what a warm interpreter's own folder has no room for needs a cold one`() throws {
        let main = SandboxProgram.File(path: "main.py", content: [])
        func isWarm(_ depth: Int) throws -> Bool {
            let program = SandboxProgram(source: .files([main] + Self.files(5, depth: depth)))
            return try Self.rules().plan(program, tenant: Self.tenant).canBeWarm
        }
        #expect(try isWarm(40))
        #expect(try !isWarm(60))
    }

    @Test func `a warm interpreter is fed as its prelude reads it`() throws {
        let plan = try Self.rules().plan(
            Self.program(#"{"code":"é","argv":["a"],"env":{"APP_X":"1"},"inputs":[{"path":"d","content":"12"}]}"#),
            tenant: Self.tenant)
        let bytes = WarmFeed.bytes(of: plan)
        let length = bytes.prefix(4).reduce(0) { $0 << 8 | Int($1) }
        let header = String(decoding: bytes[4..<(4 + length)], as: UTF8.self)
        #expect(
            header == #"{"argv":["a"],"env":{"APP_X":"1"},"files":[["/code/main.py",2],["/box/d",2]],"#
                + #""run":["/usr/bin/python3","-B","/code/main.py","a"]}"#)
        #expect(Array(bytes.dropFirst(4 + length)) == Array("é12".utf8))
    }

    @Test(arguments: ["{code}", "{box}", "a{tmp}b"])
    func `a request's argument is the same for a warm interpreter and for the cold one it may become`(
        argument: String
    ) throws {
        let plan = try Self.rules().plan(
            Self.program(#"{"code":"x","argv":["\#(argument)"]}"#), tenant: Self.tenant)
        let fed = String(decoding: WarmFeed.bytes(of: plan).dropFirst(4), as: UTF8.self)
        #expect(fed.contains(#""argv":["\#(argument)"]"#), "\(fed)")
        #expect(fed.contains(#""run":["/usr/bin/python3","-B","/code/main.py","\#(argument)"]"#), "\(fed)")
    }
}
