import Contracts
import Foundation
import TestSupport
import Testing

@testable import golden

/// `golden submit` and `golden tasks` against a stand-in for the API.
@Suite(.timeLimit(.minutes(5))) struct `Submitting and watching` {
    @Test func `every end of a task has its exit code and is shown`() async throws {
        try await Golden.withAPI("ends") { golden, _ in
            for (end, status) in [("completed", 0), ("failed", 3), ("canceled", 4), ("rejected", 5)]
                as [(String, Int32)]
            {
                let body = #"{"name":"n","input":{"end":"\#(end)"}}"#
                let followed = try await golden.run("submit", "-", "--follow", input: body)
                #expect(followed.status == status, "\(followed.errors)")
                #expect(followed.output.contains("Idempotency-Key") && followed.output.contains("half way"))
                #expect(followed.output.contains(" \(end) after "))
                let waited = try await golden.run("submit", "-", "--wait", "--json", input: body)
                #expect(waited.status == status)
                #expect(try TaskDocument(json: try waited.json).state == end)
            }
        }
    }

    @Test func `a dropped stream is taken up again without a gap or a repeat`() async throws {
        try await Golden.withAPI("drop") { golden, _ in
            let body = #"{"input":{"drop":true}}"#
            let outcome = try await golden.run("submit", "-", "--follow", "--json", input: body)
            #expect(outcome.status == 0, "\(outcome.errors)")
            let lines = outcome.output.split(separator: "\n")
            let sequences = try lines.dropLast().map { try TaskEvent(json: try JSON(parsing: Array($0.utf8))).sequence }
            #expect(sequences == [1, 2, 3, 4])
            let last = try #require(lines.last)
            #expect(try TaskDocument(json: try JSON(parsing: Array(last.utf8))).state == "completed")
        }
    }

    @Test func `a stream that was quiet for longer than an outage may last is taken up again when it is lost`()
        async throws
    {
        try await Golden.withAPI("quiet") { golden, _ in
            let task = try await golden.run("submit", "-", "--json", input: #"{"input":{"lose":1.2}}"#)
            let path = "/tasks/\(try TaskDocument(json: try task.json).id)/events"
            let url = try #require(golden.environment["GOLDEN_URL"])
            let endpoint = Endpoint(url: url, credential: .token("a.b.c"))
            let (numbers, outages) = try await APIClient.with(endpoint) { client in
                var numbers: [Int] = []
                var outages = 0
                let follower = EventFollower(client: client, path: path, outageMax: .seconds(1))
                try await follower.run(
                    { received, after in
                        let event = try #require(try TaskFollower.decode(received))
                        after = event.sequence
                        numbers.append(event.sequence)
                        return !event.kind.endsTask
                    }, outage: { _ in outages += 1 })
                return (numbers, outages)
            }
            #expect(numbers == [1, 2, 3, 4] && outages == 1)
        }
    }

    @Test func `a stream that is over before the task's last event came is an error`() async throws {
        try await Golden.withAPI("over") { golden, _ in
            let body = #"{"input":{"drop":true,"over":true}}"#
            let outcome = try await golden.run("submit", "-", "--follow", input: body)
            #expect(outcome.status == 1 && outcome.errors.contains("the last one never came"), "\(outcome.errors)")
        }
    }

    @Test func `an API that stays away for too long is given up`() async throws {
        let endpoint = Endpoint(url: "http://127.0.0.1:\(freePort())", credential: .token("a.b.c"))
        let error = await #expect(throws: CLIError.self) {
            try await APIClient.with(endpoint) { client in
                let follower = EventFollower(client: client, path: "/tasks/x/events", outageMax: .milliseconds(300))
                try await follower.run({ _, _ in true }, outage: { _ in })
            }
        }
        #expect(error?.code == .unreachable)
    }

    @Test func `the same key makes the same task`() async throws {
        try await Golden.withAPI("key") { golden, _ in
            var ids: Set<TaskID> = []
            for _ in 0..<2 {
                let outcome = try await golden.run("submit", "-", "--json", "--key", "mine-1", input: #"{"input":1}"#)
                #expect(outcome.status == 0)
                ids.insert(try TaskDocument(json: try outcome.json).id)
            }
            #expect(ids.count == 1)
        }
    }

    @Test func `a task that was refused for now at every try is found again by the key that was sent`() async throws {
        try await Golden.withAPI("refused") { golden, log in
            let outcome = try await golden.run("submit", "-", input: #"{"input":{"refuse":true}}"#)
            #expect(outcome.status == 1)
            let keys = LogFiles.tail(log).split(separator: "\n").map { $0.dropFirst("refused ".count) }
            #expect(keys.count == SubmitCommand.triesMax && Set(keys).count == 1)
            let key = try #require(keys.first)
            #expect(outcome.errors.contains("the same command with --key \(key) finds it"), "\(outcome.errors)")
        }
    }

    @Test func `waiting ends at the timeout and the task goes on`() async throws {
        try await Golden.withAPI("timeout") { golden, _ in
            let body = #"{"input":{"pause":30}}"#
            let outcome = try await golden.run("submit", "-", "--wait", "--timeout", "1s", input: body)
            #expect(outcome.status == 6 && outcome.errors.contains("It goes on."), "\(outcome.errors)")
        }
    }

    @Test func `Ctrl-C while following leaves the task alone and says how to go on`() async throws {
        try await Golden.withAPI("interrupt") { golden, log in
            let started = try golden.start(["submit", "-", "--follow"], input: #"{"input":{"pause":30}}"#)
            // The handler is in place once the stream is asked for, which the stand-in writes down.
            #expect(try await eventually { LogFiles.tail(log).contains("stream opened") })
            kill(started.process.processIdentifier, SIGINT)
            let outcome = try await blocking { try Golden.outcome(of: started) }
            #expect(outcome.status == 130)
            #expect(outcome.errors.contains("golden tasks follow"), "\(outcome.errors)")
        }
    }

    @Test func `tasks and agents are listed, shown, explained and problems told`() async throws {
        try await Golden.withAPI("tasks") { golden, _ in
            let task = try await golden.run(
                "submit", "-", "--wait", "--json", input: #"{"name":"seen","input":{"x":[1]}}"#)
            let id = try TaskDocument(json: try task.json).id
            #expect(try await golden.run("tasks", "list").output.contains("seen"))
            #expect(try await golden.run("tasks", "show", "\(id)").output.contains(#""x": [1]"#))
            #expect(try await golden.run("tasks", "follow", "\(id)").status == 0)
            #expect(try await golden.run("tasks", "explain", "\(id)").output.contains("It has ended."))
            #expect(try await golden.run("agents").output.contains("echo-1"))
            let cancel = try await golden.run("tasks", "cancel", "\(id)")
            #expect(cancel.status == 1 && cancel.errors.contains("already completed"))
            let unknown = try await golden.run("tasks", "show", "0198c5a2-0000-7000-8000-000000000000", "--json")
            #expect(unknown.status == 1)
            #expect(try JSON(parsing: Array(unknown.errors.utf8)).fields?.first?.name == "error")
            let strange = try await golden.run("tasks", "list", "--token", "stale")
            #expect(strange.status == 1 && strange.errors.contains("golden token"))
        }
    }

    @Test func `without a stack each command says what to do`() async throws {
        let golden = try Golden("nothing")
        let commands = [
            ["status"], ["down"], ["logs"], ["tasks", "list"], ["agents"], ["submit", "-"], ["migrate", "up"],
        ]
        for arguments in commands {
            let outcome = try await golden.run(arguments, input: "{}")
            let next = "golden up --detach --data \(golden.folder.path)"
            #expect(outcome.status == 1 && outcome.errors.contains(next), "\(arguments): \(outcome.errors)")
        }
        #expect(try await golden.run("submit", "/no/such/file").status == 2)
        #expect(try await golden.run("nonsense").status == 2)
        #expect(try await golden.run("submit").status == 2)
        #expect(try await golden.run("--help").output.contains("EXIT CODES"))
        #expect(try await golden.run("version").output == "golden \(Version.current)\n")
        #expect(try await golden.run("doctor", "--json").output.contains("nats-server"))
    }

    @Test func `the version is the one in the file VERSION`() throws {
        let root = Sibling.parent(of: Sibling.parent(of: Sibling.parent(of: #filePath)))
        let text = try #require(readSmallFile("\(root)/VERSION"))
        #expect(text.trimmingCharacters(in: .whitespacesAndNewlines) == Version.current)
    }
}
