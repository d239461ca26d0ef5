import Foundation
import TestSupport
import Testing

@testable import golden

@Suite(.timeLimit(.minutes(5))) struct `What the doctor and the programs say` {
    @Test(
        arguments: [
            (nil, true, "ok"), (nil, false, "ok"), ("mend it", true, "missing"), ("mend it", false, "optional"),
        ] as [(String?, Bool, String)]
    )
    func `what is missing is called so`(fix: String?, isNeeded: Bool, word: String) {
        let finding = Doctor.Finding(name: "x", found: "", fix: fix, isNeeded: isNeeded)
        #expect(finding.word == word)
        #expect(finding.isFine == (word != "missing"))
    }

    @Test func `a database is left over when its stack is gone and nothing uses it`() async throws {
        let root = try temporaryFolder("strays").path
        let folder = try Scratch.folder("strays")
        func database(_ name: String, of origin: String) throws {
            try FileManager.default.createDirectory(atPath: "\(root)/\(name)/data", withIntermediateDirectories: true)
            try StackFolder.write(origin, to: "\(root)/\(name)/\(PostgresPlace.originFile)")
        }
        var doctor = Doctor(folder: folder, environment: [:])
        doctor.databases = root
        #expect(doctor.strays().fix == nil && doctor.strays().found == "none")

        var own = StackRecord.sample(supervisor: nil)
        own.postgresFolder = "\(root)/own"
        try own.save(to: folder)
        let other = try Scratch.folder("strays-other")
        var others = StackRecord.sample(supervisor: nil)
        others.postgresFolder = "\(root)/kept"
        try others.save(to: other)
        try database("kept", of: other.record)
        try database("own", of: "/moved/stack.json")
        // Another stack begins where this one's was.
        try database("used", of: other.record)
        let server = try Scratch.sleeper(in: "\(root)/used/data")
        do {
            defer { Scratch.end(server) }
            #expect(doctor.strays().fix == nil)
        }
        let isGone = try await eventually { !server.isRunning }
        try #require(isGone)

        let found = doctor.strays()
        let words = "where its stack is no more; remove it only if that stack is gone"
        #expect(found.fix == "\(root)/used was of \(other.record), \(words)")
        #expect(found.word == "optional" && found.found == "1")
        try database("used", of: "/moved/too/stack.json")
        #expect(doctor.strays().fix == "\(root)/used was of /moved/too/stack.json, \(words)")
    }

    @Test func `a database is run by the version that made it, whichever are newer`() throws {
        let root = try temporaryFolder("majors").path
        func install(_ folder: String) throws {
            try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
            let isMade = FileManager.default.createFile(
                atPath: "\(folder)/initdb", contents: Data(), attributes: [.posixPermissions: 0o755])
            #expect(isMade)
        }
        func programs(_ major: String?, _ environment: [String: String] = [:]) throws -> String {
            let data = "\(root)/data"
            try StackFolder.remove(data)
            try FileManager.default.createDirectory(atPath: data, withIntermediateDirectories: true)
            if let major { try StackFolder.write("\(major)\n", to: "\(data)/PG_VERSION") }
            return try Programs.postgresFolder(environment: environment, data: data, root: root)
        }
        // Debian's versions, or else the one that PATH leads to.
        let other = ["PATH": "\(root)/other"]
        try install("\(root)/other")
        #expect(try programs("16", other) == "\(root)/other")
        try install("\(root)/15/bin")
        try install("\(root)/17/bin")
        #expect(try programs(nil) == "\(root)/17/bin")
        #expect(try programs("15") == "\(root)/15/bin")
        #expect(try programs("17", other) == "\(root)/17/bin")
        #expect(try programs("16", ["GOLDEN_POSTGRES_BIN": "\(root)/other"]) == "\(root)/other")
        let error = #expect(throws: CLIError.self) { try programs("16", other) }
        #expect(error?.code == .missingProgram && error?.next?.contains("postgresql-16") == true)
    }
}
