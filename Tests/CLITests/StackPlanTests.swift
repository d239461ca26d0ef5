import Foundation
import Testing

@testable import golden

@Suite(.timeLimit(.minutes(5))) struct `What a stack consists of` {
    private func plan(_ change: (inout StackOptions) -> Void) -> StackPlan {
        var options = StackOptions(folder: StackFolder("/d"))
        change(&options)
        return StackPlan(
            options: options, ports: StackRecord.Ports(api: 1, nats: 2, redis: 3, postgres: 4), secrets: .generate(),
            postgresFolder: "/d/postgres", caller: ["GOLDEN_BIN": Golden.standIns], isRoot: false
        )
    }

    @Test(
        arguments: [
            ([], ["agent-developer-1"]),
            (["echo"], ["agent-developer-1", "agent-echo-1"]),
            (["developer", "developer"], ["agent-developer-1", "agent-developer-2"]),
            (["a", "a-1", "a"], ["agent-developer-1", "agent-a-1", "agent-a-1-1", "agent-a-2"]),
        ] as [([String], [String])]
    )
    func `no two agents have one name, the built-in one included`(roles: [String], names: [String]) throws {
        let plan = plan { $0.agents = roles.map { StackOptions.Agent(role: $0, command: "cat") } }
        #expect(try plan.agents().map(\.name) == names)
    }

    @Test func `agents run where they were asked for`() throws {
        let plan = plan { $0.workFolder = "/asked/for" }
        #expect(try plan.agents().map(\.folder) == ["/asked/for"])
    }

    @Test(
        arguments: [
            (1, nil, 100), (5, nil, 100), (11, nil, 142), (16, nil, 177), (16, "64", 1395), (1, "x", 100),
            (1, "65", 100),
        ] as [(Int, String?, Int)]
    )
    func `the database takes the connections of all orchestrators, old and new`(
        orchestrators: Int, pool: String?, connections: Int
    ) throws {
        let plan = plan {
            $0.orchestrators = orchestrators
            $0.environment["GOLDEN_POOL_SIZE"] = pool
        }
        #expect(plan.connectionsMax == connections)
        let arguments = try plan.postgres().spec(environment: [:]).arguments
        #expect(arguments.contains("max_connections=\(connections)"))
    }

    @Test(
        arguments: [
            ("postgres", .interrupt), ("postgres-1", .interrupt), ("postgres-2", .interrupt), ("nats-1", .terminate),
            ("agent-postgres-1", .terminate),
        ] as [(String, ProcessSpec.StopSignal)]
    )
    func `what is left of a database is asked to end without waiting for its clients`(
        name: String, signal: ProcessSpec.StopSignal
    ) {
        #expect(Leftovers.stopSignal(of: name) == signal)
    }

    @Test func `settings come back, without them the folder where no command runs`() throws {
        let folder = try Scratch.folder("settings")
        var asked = StackOptions(folder: folder)
        asked.isAsLastTime = true
        var nothing = asked
        nothing.isAsLastTime = false
        #expect(try StackSettings.recalled(asked) == nothing)
        #expect(nothing.settingsInWords == nil)

        var given = StackOptions(folder: folder)
        given.orchestrators = 2
        given.slots = 9
        given.environment = ["A": "secret"]
        given.workFolder = "/usr"
        try StackSettings(given).save(to: folder)
        #expect(try StackSettings.recalled(asked).workFolder == asked.workFolder)
        given.agents = [StackOptions.Agent(role: "a", owner: "b", command: "say \"c\"")]
        try StackSettings(given).save(to: folder)
        #expect(try StackSettings.recalled(asked) == given)
        #expect(given.settingsInWords == "--orchestrators 2, --agent a, --slots 9, --env A")

        try StackFolder.write("{}", to: folder.settings)
        let error = #expect(throws: CLIError.self) { try StackSettings.recalled(asked) }
        #expect(error?.code == .fileUnreadable)
        try folder.delete()
        #expect(!FileManager.default.fileExists(atPath: folder.path))
    }

    @Test func `commands run in the caller's folder where the data was copied to, and where theirs is gone`() throws {
        let folder = try Scratch.folder("work")
        let work = "\(folder.path)-work"
        try FileManager.default.createDirectory(atPath: work, withIntermediateDirectories: true)
        var given = StackOptions(folder: folder)
        given.agents = [StackOptions.Agent(role: "a", command: "cat")]
        given.workFolder = work
        try StackSettings(given).save(to: folder)
        func recalled(_ folder: StackFolder) throws -> String {
            var asked = StackOptions(folder: folder)
            asked.workFolder = "/called/here"
            return try StackSettings.recalled(asked).workFolder
        }
        #expect(try recalled(folder) == work)
        let copy = StackFolder("\(folder.path)-copy")
        try FileManager.default.copyItem(atPath: folder.path, toPath: copy.path)
        #expect(try recalled(copy) == "/called/here")
        try StackFolder.remove(work)
        #expect(try recalled(folder) == "/called/here")
    }

    @Test func `settings of a build that had the variables elsewhere are taken with those`() throws {
        let folder = try Scratch.folder("older")
        let text = #"{"v":1,"orchestrators":1,"slots":9,"work_folder":"/usr","agents":[]}"#
        try StackFolder.write(text, to: folder.settings)
        try StackEnvironment.save(["A": "b"], to: folder)
        let recalled = try StackSettings.recalled(StackOptions(folder: folder))
        #expect(recalled.slots == 9 && recalled.environment == ["A": "b"])
    }
}
