import Foundation
import ReleaseGateService
import TestSupport
import Testing

@Suite(.timeLimit(.minutes(10))) struct `Adapters` {
    private func runner(_ configured: [String: [String]], isArmed: Bool = true) throws -> AdapterRunner {
        AdapterRunner(adapter: try Adapter(configured), webhook: nil, console: .silent, isArmed: isArmed)
    }

    /// A program that writes down its arguments, one a line.
    private func recorder() throws -> (program: String, record: () throws -> [String]) {
        let folder = try temporaryFolder("recorder").path
        let program = folder + "/recorder"
        try Data("#!/bin/sh\nfor word in \"$@\"; do echo \"$word\" >> '\(folder)/record'; done\n".utf8)
            .write(to: URL(filePath: program))
        try FileManager.default.setAttributes([.posixPermissions: 0o755], ofItemAtPath: program)
        return (
            program,
            {
                guard FileManager.default.fileExists(atPath: folder + "/record") else { return [] }
                return try String(contentsOfFile: folder + "/record", encoding: .utf8).split(separator: "\n").map(
                    String.init)
            }
        )
    }

    @Test func `words stay words, whatever they hold`() async throws {
        let (program, record) = try recorder()
        let runner = try runner(["rollback": [program, "{service}", "--reason={reason}"]])
        try await runner.run(
            .rollback, services: ["orders", "front"], values: [.reason: "it's \"bad\"; rm -rf / $(id)"])
        #expect(
            try record() == [
                "orders", "--reason=it's \"bad\"; rm -rf / $(id)", "front", "--reason=it's \"bad\"; rm -rf / $(id)",
            ])
    }

    @Test func `what names no service runs once, and unarmed nothing runs`() async throws {
        let (program, record) = try recorder()
        try await runner(["promote": [program, "{version}"]], isArmed: false)
            .run(.promote, services: ["a", "b"], values: [.version: "1.0.0"])
        #expect(try record().isEmpty)
        try await runner(["promote": [program, "{version}"]])
            .run(.promote, services: ["a", "b"], values: [.version: "1.0.0"])
        #expect(try record() == ["1.0.0"])
    }

    @Test(arguments: ["previousRevision", "toRevision"])
    func `a revision that nobody knows keeps no command from being shown`(place: String) async throws {
        let (program, record) = try recorder()
        let command = ["rollback": [program, "{rollout}", "{\(place)}"]]
        let each: [String: [CommandTemplate.Place: String]] = ["a": [.object: "golden-a", .rollout: "golden-a"]]
        try await runner(command, isArmed: false).run(.rollback, services: ["a"], values: [:], each: each)
        #expect(try record().isEmpty)
    }

    @Test func `a command that fails stops the others, and says which`() async throws {
        let runner = try runner(["abort": ["/bin/sh", "-c", "exit 3", "{service}"]])
        let error = await #expect(throws: GateError.self) {
            try await runner.run(.abort, services: ["front", "orders", "ledger"], values: [:])
        }
        #expect(error?.code == .adapterFailed && error?.message.contains("Not reached: orders, ledger") == true)
    }

    @Test func `every preset can be filled`() async throws {
        let values = Dictionary(
            uniqueKeysWithValues: CommandTemplate.Place.allCases.map { ($0, "x-\($0.rawValue)") })
        for (name, preset) in Adapter.presets {
            for (action, words) in preset {
                let filled = try CommandTemplate(words).filled(values)
                #expect(!filled.joined().contains("{"), "\(name) \(action)")
            }
        }
        let helm = try #require(Adapter.presets["helm"]?[.rollback])
        #expect(
            CommandTemplate.shown(try CommandTemplate(helm).filled(values))
                == "helm rollback x-release x-previousRevision -n x-namespace --wait --timeout 5m")
    }

    @Test func `what has no Rollout is left out, and what runs goes by its own name`() async throws {
        let (program, record) = try recorder()
        let runner = try runner(["abort": [program, "{rollout}"], "rollback": [program, "{object}"]])
        let each: [String: [CommandTemplate.Place: String]] = [
            "orders": [.object: "golden-orders", .rollout: "golden-orders"], "front": [.object: "blue-front"],
        ]
        try await runner.run(.abort, services: ["front", "orders"], values: [:], each: each)
        try await runner.run(.rollback, services: ["front", "orders"], values: [:], each: each)
        #expect(try record() == ["golden-orders", "blue-front", "golden-orders"])
        let none = await #expect(throws: GateError.self) {
            try await runner.run(.abort, services: ["front"], values: [:], each: each)
        }
        #expect(none?.code == .invalid && none?.next?.contains("canary: true") == true)
    }

    @Test func `a command for one environment acts on no other's namespace`() async throws {
        let folder = try ReleaseFolder()
        let path = folder.path
        try folder.writeRelease("1.2.0-rc.1")
        try folder.write(
            "gate.yaml",
            try folder.read("gate.yaml").replacing("golden-architecture", with: "{dev: one, prod: two}").replacing(
                "adapters:\n", with: "adapters:\n  uninstall: [\(path)/kubectl, \"{release}\", \"{namespace}\"]\n"))
        let release = try folder.release
        @Sendable func uninstall(_ environment: String) async throws {
            try await folder.gate {
                try await $0.uninstall(release, environment: environment, reason: "it is given up", isArmed: true)
            }
        }
        try await uninstall("dev")
        try await uninstall("prod")
        #expect(try folder.commands() == ["golden one", "golden two"])
        let error = await #expect(throws: GateError.self) { try await uninstall("staging") }
        #expect(error?.code == .invalid && error?.message.contains("no namespace of staging") == true)
        #expect(try folder.commands().isEmpty)
        #expect(try await folder.gate { try await $0.book.entries().count } == 4)
    }

    @Test(arguments: [["{nothing}"], [""], []])
    func `a command that means nothing is refused`(words: [String]) {
        #expect(throws: GateError.self) { try CommandTemplate(words) }
    }

    @Test func `a webhook needs its address`() async throws {
        let error = await #expect(throws: GateError.self) {
            try await runner(["preset": ["webhook"]]).run(
                .advance, services: ["a"], values: [.version: "1", .environment: "dev", .reason: "r"])
        }
        #expect(error?.message.contains("GOLDEN_GATE_WEBHOOK") == true)
    }
}
