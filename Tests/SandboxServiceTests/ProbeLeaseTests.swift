import Bootstrap
import Testing

@testable import SandboxExecutorService

@Suite struct ProbeLeaseTests {
    @Test(
        arguments: [
            ("{}", 300), (#"{"*":{"memory_bytes":67108864}}"#, 300), (#"{"*":{"wall_ms":20000}}"#, 20),
            (#"{"*":{"wall_ms":20000},"acme":{"wall_ms":120000}}"#, 120),
            (#"{"*":{"wall_ms":20000},"acme":{"memory_bytes":67108864}}"#, 20), (#"{"acme":{"wall_ms":1000}}"#, 300),
        ]
    )
    func `a probe has the time of the longest run and a minute`(_ ceilings: String, seconds: Int) throws {
        let settings = ServiceConfiguration(environment: ["GOLDEN_SANDBOX_CEILINGS": ceilings])
        #expect(SandboxExecutor.probeLease(try EngineConfiguration(settings)) == .seconds(seconds + 60))
    }
}
