import ReleaseGateCore
import ReleaseGateService
import Testing

/// What `gate.yaml` may say.
@Suite(.timeLimit(.minutes(10))) struct `The gate's configuration` {
    private static func configuration(_ line: String, instead: String) throws -> GateConfiguration {
        let folder = try ReleaseFolder()
        try folder.write("gate.yaml", try folder.read("gate.yaml").replacing(instead, with: line))
        return try GateConfiguration(file: folder.path + "/gate.yaml")
    }

    private static func namespaces(_ line: String) throws -> Namespaces {
        try configuration(line, instead: "namespace: golden-architecture").namespaces
    }

    @Test func `names a namespace for each environment, or one for all`() throws {
        let names = try Self.namespaces("namespace: {dev: one, prod: two}")
        #expect(names[.dev] == "one" && names[.prod] == "two" && names[.staging] == nil)
        #expect(try Self.namespaces("namespace: one") == .one("one"))
        let usual = try Self.namespaces("")
        #expect(usual[.dev] == "golden-architecture-dev" && usual[.prod] == "golden-architecture")
        let error = #expect(throws: GateError.self) { try Self.namespaces("namespace: {production: two}") }
        #expect(error?.code == .invalid && error?.message.contains("production is no environment") == true)
    }

    @Test(arguments: ["[]", "[10, 50]", "[50, 10, 100]", "[-10, 100]"])
    func `lets no part of the traffic seal the whole`(steps: String) throws {
        let error = #expect(throws: GateError.self) {
            try Self.configuration("steps: \(steps)\nlookSeconds: 120", instead: "lookSeconds: 120")
        }
        #expect(error?.code == .invalid && error?.message.contains("steps must rise") == true)
    }
}
