import Testing

@testable import golden

@Suite(.timeLimit(.minutes(5))) struct `Asking for an upgrade` {
    private let request = UpgradeRequest(id: "one", programs: "/next/bin", migrations: "/next/migrations")

    @Test func `a request is taken once`() throws {
        let folder = try Scratch.folder("upgrade")
        #expect(try UpgradeRequest.take(from: folder) == nil)
        try request.save(to: folder)
        #expect(try UpgradeRequest.take(from: folder) == request)
        #expect(try UpgradeRequest.take(from: folder) == nil)
    }

    @Test func `a damaged request is gone after it was refused`() throws {
        let folder = try Scratch.folder("upgrade")
        try StackFolder.write("{}", to: folder.upgradeRequest)
        #expect(throws: CLIError.self) { try UpgradeRequest.take(from: folder) }
        #expect(try UpgradeRequest.take(from: folder) == nil)
    }

    @Test func `whoever asked hears of its own upgrade, each step once`() throws {
        let folder = try Scratch.folder("upgrade")
        #expect(UpgradeReport.events(of: request, in: folder, after: 0) == nil)
        let report = try UpgradeReport(request, in: folder)
        report.tell(.step("first"))
        report.tell(.running("peer-hub"))
        #expect(UpgradeReport.events(of: request, in: folder, after: 0)?.count == 2)
        #expect(UpgradeReport.events(of: request, in: folder, after: 2)?.isEmpty == true)
        let other = UpgradeRequest(id: "two", programs: "/b", migrations: "/m")
        #expect(UpgradeReport.events(of: other, in: folder, after: 0) == nil)
        _ = try UpgradeReport(other, in: folder)
        #expect(UpgradeReport.events(of: request, in: folder, after: 0) == nil)
    }

    @Test func `a process that is given a socket finds it as descriptor 3, and itself named`() {
        let spec = ProcessSpec(
            name: "x", executable: "/x", arguments: ["serve"], environment: [:], probe: .alive(.zero))
        let script = spec.commandLine(log: "/log", isRoot: false, passesSocket: true)[2]
        #expect(script.contains("export LISTEN_PID=$$ LISTEN_FDS=1 && exec \"$@\" 3<&0 0</dev/null"))
        #expect(!spec.commandLine(log: "/log", isRoot: false)[2].contains("LISTEN"))
    }
}
