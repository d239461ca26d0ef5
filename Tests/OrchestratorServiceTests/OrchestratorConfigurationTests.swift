import Bootstrap
import OrchestratorService
import Testing

/// What an orchestrator refuses to start with.
@Suite struct `Orchestrator configuration` {
    private static func configuration(_ environment: [String: String]) throws -> OrchestratorConfiguration {
        let stores = [
            "GOLDEN_POSTGRES_URL": "postgresql://db/golden", "GOLDEN_REDIS_URL": "redis://:word@cache:6379/0",
        ]
        return try OrchestratorConfiguration(ServiceConfiguration(environment: stores.merging(environment) { $1 }))
    }

    @Test(arguments: ["", "10.1.0.0/16", "192.0.2.1, fd00::/8 ,,10.0.0.0/8"])
    func `networks of trusted proxies are taken`(networks: String) throws {
        _ = try Self.configuration(["GOLDEN_TRUSTED_PROXIES": networks])
    }

    @Test(arguments: ["10.0.0/8", "10.0.0.0/33", "fd00::/129", "ingress-nginx", "10.0.0.0/8 fd00::/8"])
    func `a trusted proxy that is no network is refused by name`(network: String) {
        #expect {
            try Self.configuration(["GOLDEN_TRUSTED_PROXIES": "10.1.0.0/16, \(network)"])
        } throws: { error in
            (error as? BootstrapError)?.message
                == "GOLDEN_TRUSTED_PROXIES must be networks such as 10.1.0.0/16 or fd00::/8, with commas between; "
                + "\(network) is none."
        }
    }
}
