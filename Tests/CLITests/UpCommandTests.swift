import ArgumentParser
import Contracts
import Foundation
import Testing

@testable import golden

@Suite(.timeLimit(.minutes(5))) struct `The command line` {
    @Test func `agents and variables are taken apart at the first equals sign`() throws {
        let command = try UpCommand.parse([
            "--agent", "log-analyst=python3 a.py --x=1", "--env", "A=b=c", "--env", "EMPTY=", "--slots", "8", "--data",
            "/d", "--agent", "security@peers=mail a@b",
        ])
        let options = try command.options([:])
        let expected = [
            StackOptions.Agent(role: "log-analyst", owner: "local", command: "python3 a.py --x=1"),
            StackOptions.Agent(role: "security", owner: "peers", command: "mail a@b"),
        ]
        #expect(options.agents == expected)
        #expect(options.environment == ["A": "b=c", "EMPTY": ""])
        #expect(options.slots == 8 && options.folder.path == "/d" && options.port == nil)
    }

    @Test func `a variable without a value has the caller's, and is refused where the caller has none`() throws {
        let command = try UpCommand.parse(["--env", "PATH", "--env", "A="])
        #expect(try command.options(["PATH": "/here"]).environment == ["PATH": "/here", "A": ""])
        #expect(throws: (any Error).self) { try command.options([:]) }
        #expect(throws: (any Error).self) { try UpCommand.parse(["--env", "NO_SUCH_VARIABLE_HERE"]) }
    }

    @Test func `the process in the background has its variables from its environment`() throws {
        let environment = [DetachedStart.variablesName: StackEnvironment.text(["A": "b"])]
        #expect(try UpCommand.parse(["--supervise"]).options(environment).environment == ["A": "b"])
        #expect(try !UpCommand.parse(["--supervise"]).options(environment).isAsLastTime)
        #expect(try UpCommand.parse([]).options(environment).environment == [:])
    }

    @Test(
        arguments: [
            ([], true), (["--port", "0", "--detach"], true), (["--agent", "a=b"], false), (["--env", "A=b"], false),
            (["--orchestrators", "1"], false), (["--slots", "4"], false),
        ] as [([String], Bool)]
    )
    func `a stack has the settings of last time when none is given`(arguments: [String], isAsLastTime: Bool) throws {
        #expect(try UpCommand.parse(arguments).options([:]).isAsLastTime == isAsLastTime)
    }

    @Test(
        arguments: [
            ["--agent", "noequals"], ["--agent", "=cmd"], ["--agent", "role="], ["--agent", "ro.le=cmd"],
            ["--agent", "role@=cmd"], ["--agent", "@owner=cmd"], ["--agent", "role@a@b=cmd"],
            ["--env", "=x"], ["--port", "70000"], ["--port", "-1"], ["--orchestrators", "0"], ["--slots", "0"],
            ["--cluster", "--observability"],
        ]
    )
    func `wrong options are refused before anything starts`(arguments: [String]) {
        #expect(throws: (any Error).self) { try UpCommand.parse(arguments) }
    }

    @Test func `the data folder comes from the option, the variable, or the name every stack has`() throws {
        let plain = try FolderOptions.parse([])
        #expect(plain.folder(["GOLDEN_DATA": "/from/env"]).path == "/from/env")
        #expect(plain.folder([:]).path.hasSuffix("/.golden"))
        #expect(try FolderOptions.parse(["--data", "/opt/x"]).folder(["GOLDEN_DATA": "/y"]).path == "/opt/x")
    }

    @Test func `waiting options belong together`() {
        #expect(throws: (any Error).self) { try SubmitCommand.parse(["f", "--timeout", "5s"]) }
        #expect(throws: (any Error).self) { try SubmitCommand.parse(["f", "--wait", "--timeout", "soon"]) }
        #expect(throws: Never.self) { try SubmitCommand.parse(["f", "--wait", "--timeout", "5s"]) }
        #expect(throws: (any Error).self) { try StatusCommand.parse(["--secrets"]) }
        #expect(throws: (any Error).self) { try TasksShowCommand.parse(["not-an-id"]) }
        #expect(throws: (any Error).self) { try TasksListCommand.parse(["--state", "asleep"]) }
        #expect(throws: (any Error).self) { try TokenCommand.parse(["--role", "boss", "--tenant", "t"]) }
        #expect(throws: (any Error).self) { try TokenCommand.parse(["--role", "admin", "--tenant", "a.b"]) }
    }

    @Test func `help shows examples and every exit code`() {
        let root = GoldenCommand.helpMessage(columns: 120)
        for status in ExitStatus.allCases { #expect(root.contains("  \(status.rawValue) ")) }
        for command in GoldenCommand.configuration.subcommands where command != VersionCommand.self {
            #expect(GoldenCommand.helpMessage(for: command).contains("EXAMPLES:"), "\(command)")
        }
        for command in TasksCommand.configuration.subcommands {
            #expect(GoldenCommand.helpMessage(for: command).contains("EXAMPLES:"), "\(command)")
        }
    }

    @Test(arguments: CompletionsCommand.Shell.allCases)
    func `every shell gets its completions`(shell: CompletionsCommand.Shell) {
        let script = GoldenCommand.completionScript(for: shell.parserShell)
        #expect(script.contains("golden") && script.contains("jetstream"))
    }

    @Test func `each failure maps to one documented exit code`() {
        #expect(CLIError(.usage, "").exitStatus == .usage)
        #expect(CLIError(.timedOut, "").exitStatus == .timedOut)
        #expect(CLIError(.portTaken, "").exitStatus == .other)
        let error = CLIError(.unreachable, "a", kept: "b", next: "c")
        #expect("\(error)" == "a\nKept: b\nNext: c")
        let closed = CLIError(.folderUnusable, "a", underlying: CocoaError(.fileWriteNoPermission))
        #expect("\(closed)" == "a\nCause: Permission denied")
        #expect(closed.json.text == #"{"error":{"code":"folder_unusable","message":"a","cause":"Permission denied"}}"#)
        #expect(error.json.text == #"{"error":{"code":"unreachable","message":"a","kept":"b","next":"c"}}"#)
    }

    @Test func `what the supervisor tells comes back from its lines`() throws {
        let failed = CLIError(.portTaken, "m", kept: "k", next: "n")
        let events: [UpEvent] = [
            .supervisor(ProcessIdentity(pid: 5, startTicks: 7)), .step("a"), .note("d"), .running("b"),
            .ready(.sample(supervisor: nil)), .failed(failed), .stopping("c"), .stopped,
        ]
        for event in events {
            let back = try #require(UpEvent(line: event.json.text))
            #expect(back.json == event.json)
        }
        #expect(UpEvent(line: "noise") == nil && UpEvent(line: "{}") == nil)
    }
}
