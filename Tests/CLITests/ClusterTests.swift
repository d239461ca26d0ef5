import ArgumentParser
import Testing

@testable import golden

@Suite(.timeLimit(.minutes(5))) struct `A clustered stack` {
    private let secrets = StackSecrets(postgres: "p", postgresAdmin: "a", nats: "n", redis: "r", jwt: "j")
    private let ports = StackRecord.Ports(api: 1, nats: 100, redis: 106, postgres: 111, cluster: 100)

    @Test func `connection strings name every server, and of Postgres the one that takes writes`() {
        let addresses = StoreAddresses(ports: ports, secrets: secrets)
        #expect(
            addresses.postgres
                == "postgresql://golden:p@127.0.0.1:111,127.0.0.1:112/golden?target_session_attrs=read-write")
        #expect(
            addresses.nats
                == "nats://golden:n@127.0.0.1:100,nats://golden:n@127.0.0.1:101,nats://golden:n@127.0.0.1:102")
        #expect(addresses.redis == "redis://:r@127.0.0.1:106,127.0.0.1:107/0")
    }

    @Test func `no port is two servers'`() {
        let cluster = ClusterPorts(first: 100)
        let all = cluster.nats + cluster.routes + cluster.redis + cluster.sentinels + cluster.postgres
        #expect(all == Array(cluster.all))
        #expect(all.count == ClusterPorts.count)
    }

    @Test func `its servers are told from its services by name`() {
        #expect(["nats-1", "redis-2", "sentinel-3", "postgres-1"].allSatisfy(ClusterPorts.isServer))
        #expect(!["orchestrator-1", "peer-hub", "agent-nats-1", "postgres"].contains(where: ClusterPorts.isServer))
    }

    @Test func `a Redis server is a replica of the master it is told of`() {
        var store = RedisStore(folder: "/r", port: 2, password: "p", name: "redis-2", master: 1)
        #expect(store.configuration.contains("replicaof 127.0.0.1 1\n"))
        store.master = nil
        #expect(!store.configuration.contains("replicaof"))
    }

    @Test func `the option is handed on to the process in the background`() throws {
        #expect(try UpCommand.parse(["--cluster"]).options([:]).isCluster)
        #expect(try !UpCommand.parse([]).options([:]).isCluster)
    }
}
