internal import Bootstrap
internal import Foundation
internal import TestSupport
import Testing

@Suite struct ServiceConfigurationTests {
    private func code(_ body: () throws -> Void) -> BootstrapError.Code? {
        do {
            try body()
            return nil
        } catch {
            return (error as? BootstrapError)?.code
        }
    }

    private func file(_ contents: String) throws -> String {
        let path = try temporaryFolder("config").appending(path: "value")
        try Data(contents.utf8).write(to: path)
        return path.path
    }

    enum Color: String, CaseIterable { case red, green }

    @Test func `settings are read by type, and defaults fill in`() throws {
        let settings = ServiceConfiguration(environment: [
            "GOLDEN_HTTP_PORT": "9090", "GOLDEN_HTTP_HOST": "0.0.0.0", "GOLDEN_X": "1.5", "GOLDEN_FLAG": "Yes",
            "GOLDEN_LIST": "a, b,,c", "GOLDEN_COLOR": "green", "GOLDEN_EMPTY": "",
        ])
        #expect(try settings.int("GOLDEN_HTTP_PORT", default: 8080, in: 0...65_535) == 9090)
        #expect(try settings.int("GOLDEN_OTHER_PORT", default: 8080, in: 0...65_535) == 8080)
        #expect(try settings.string("GOLDEN_HTTP_HOST", default: "127.0.0.1") == "0.0.0.0")
        #expect(try settings.seconds("GOLDEN_X", default: .seconds(9), in: 0...10) == .milliseconds(1500))
        #expect(try settings.bool("GOLDEN_FLAG", default: false))
        #expect(try settings.list("GOLDEN_LIST", default: "") == ["a", "b", "c"])
        #expect(try settings.choice("GOLDEN_COLOR", default: Color.red) == .green)
        #expect(try settings.choice("GOLDEN_COLOR2", default: Color.red) == .red)
        #expect(try settings.optionalString("GOLDEN_EMPTY") == nil)
    }

    @Test func `sizes have units, and wrong ones are named`() throws {
        let settings = ServiceConfiguration(environment: [
            "GOLDEN_A": "4096", "GOLDEN_B": "3MiB", "GOLDEN_C": "2 GiB", "GOLDEN_D": "1GB", "GOLDEN_E": "-1",
            "GOLDEN_F": "9000000000TiB", "GOLDEN_G": "5KiB", "GOLDEN_H": "GiB",
        ])
        func size(_ key: String, _ range: ClosedRange<Int> = 1...(1 << 40)) throws -> Int {
            try settings.bytes(key, default: "1GiB", in: range)
        }
        #expect(try size("GOLDEN_A") == 4096)
        #expect(try size("GOLDEN_B") == 3 << 20)
        #expect(try size("GOLDEN_C") == 2 << 30)
        #expect(try size("GOLDEN_NOT_THERE") == 1 << 30)
        for key in ["GOLDEN_D", "GOLDEN_E", "GOLDEN_F", "GOLDEN_H"] {
            #expect(code { _ = try size(key) } == .invalidSetting, "\(key)")
        }
        #expect(code { _ = try size("GOLDEN_G", 6000...7000) } == .invalidSetting)
    }

    @Test func `a table is laid over its default`() throws {
        let settings = ServiceConfiguration(environment: ["GOLDEN_RATE_LIMITS": "developer=100000000, new=1"])
        let limits = try settings.table("GOLDEN_RATE_LIMITS", default: "admin=100,developer=30")
        #expect(limits == ["admin": 100, "developer": 100_000_000, "new": 1])
    }

    @Test func `what is missing or wrong is named`() throws {
        let settings = ServiceConfiguration(environment: [
            "GOLDEN_PORT": "70000", "GOLDEN_WORD": "x", "GOLDEN_TABLE": "a", "GOLDEN_COLOR": "blue",
        ])
        #expect(code { _ = try settings.string("GOLDEN_NOT_THERE") } == .missingSetting)
        #expect(code { _ = try settings.int("GOLDEN_PORT", default: 1, in: 1...65_535) } == .invalidSetting)
        #expect(code { _ = try settings.int("GOLDEN_WORD", default: 1, in: 1...2) } == .invalidSetting)
        #expect(code { _ = try settings.bool("GOLDEN_WORD", default: true) } == .invalidSetting)
        #expect(code { _ = try settings.seconds("GOLDEN_WORD", default: .zero, in: 0...1) } == .invalidSetting)
        #expect(code { _ = try settings.table("GOLDEN_TABLE", default: "") } == .invalidSetting)
        #expect(code { _ = try settings.choice("GOLDEN_COLOR", default: Color.red) } == .invalidSetting)
        #expect(throws: BootstrapError.self) { try settings.string("GOLDEN_NOT_THERE") }
        do {
            _ = try settings.secret("GOLDEN_JWT_SECRET")
        } catch {
            #expect(error.message.contains("GOLDEN_JWT_SECRET_FILE"))
        }
    }

    @Test func `a value may be mounted as a file, its last line break left off`() throws {
        let path = try file("s3cr=et \n\n")
        let settings = ServiceConfiguration(environment: ["GOLDEN_JWT_SECRET_FILE": path])
        #expect(try settings.secret("GOLDEN_JWT_SECRET") == "s3cr=et ")
        #expect(settings.unread.isEmpty)
    }

    @Test func `a value given both ways, or in a file that cannot be read, stops the start`() throws {
        let path = try file("x")
        let both = ServiceConfiguration(environment: ["GOLDEN_A": "1", "GOLDEN_A_FILE": path])
        #expect(code { _ = try both.string("GOLDEN_A") } == .ambiguousSetting)
        let gone = ServiceConfiguration(environment: ["GOLDEN_A_FILE": "/nowhere/x"])
        #expect(code { _ = try gone.string("GOLDEN_A") } == .unreadableFile)
        do {
            _ = try gone.string("GOLDEN_A")
        } catch {
            let why = try #require(error.underlying)
            #expect("\(error)" == "config_unreadable_file: GOLDEN_A_FILE: /nowhere/x cannot be read. (\(why))")
        }
        let large = ServiceConfiguration(environment: ["GOLDEN_A_FILE": try file(String(repeating: "x", count: 70_000))]
        )
        #expect(code { _ = try large.string("GOLDEN_A") } == .invalidSetting)
    }

    @Test func `what was read can be shown without its secrets`() throws {
        let settings = ServiceConfiguration(environment: [
            "GOLDEN_JWT_SECRET": "hunter2hunter2", "GOLDEN_HTTP_PORT": "1", "PATH": "/bin",
            "GOLDEN_POSTGRES_URL": "postgres://golden:p@ss%40word@db:5432/golden?password=hunter2",
            "GOLDEN_NATS_URL": "nats://u:hunter2@a:4222,nats://b:4222", "GOLDEN_REDIS_URL": "redis://:hunter2@c:6379/0",
            "GOLDEN_TYPO": "x",
        ])
        _ = try settings.secret("GOLDEN_JWT_SECRET")
        _ = try settings.int("GOLDEN_HTTP_PORT", default: 2, in: 1...9)
        _ = try settings.int("GOLDEN_DEFAULTED", default: 2, in: 1...9)
        _ = try settings.url("GOLDEN_POSTGRES_URL")
        // Read as a list, and no less careful with it.
        _ = try settings.list("GOLDEN_NATS_URL", default: "")
        _ = try settings.url("GOLDEN_REDIS_URL")
        #expect(
            settings.redacted == [
                "GOLDEN_DEFAULTED=2", "GOLDEN_HTTP_PORT=1", "GOLDEN_JWT_SECRET=<redacted>",
                "GOLDEN_NATS_URL=nats://u:<redacted>@a:4222,nats://b:4222",
                "GOLDEN_POSTGRES_URL=postgres://golden:<redacted>@db:5432/golden",
                "GOLDEN_REDIS_URL=redis://:<redacted>@c:6379/0",
            ]
        )
        #expect(settings.unread == ["GOLDEN_TYPO"])
    }

    @Test(arguments: [
        "host=db password=hunter2", "postgres://u:hunter2,x@db/g", "x://u:hunter2?@db/g", "?hunter2", "hunter2@db",
    ])
    func `a URL of a form we do not know is not shown at all`(url: String) throws {
        let settings = ServiceConfiguration(environment: ["GOLDEN_POSTGRES_URL": url])
        _ = try settings.url("GOLDEN_POSTGRES_URL")
        #expect(settings.redacted == ["GOLDEN_POSTGRES_URL=<redacted>"])
    }
}
