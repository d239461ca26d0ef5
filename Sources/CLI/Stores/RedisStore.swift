/// The stack's private redis-server: loopback, password, append-only file, bounded memory.
struct RedisStore: Sendable {
    static let memoryMax = "256mb"

    let folder: String
    let port: Int
    let password: String
    var name = "redis"
    /// The port of the server it is a replica of; nil for a master.
    var master: Int?

    var configurationFile: String { "\(folder)/redis.conf" }

    var configuration: String {
        """
        # Written by golden at every start; changes here are lost.
        bind 127.0.0.1
        port \(port)
        protected-mode yes
        requirepass \(password)
        dir \(NATSStore.quoted(folder))
        daemonize no
        appendonly yes
        appendfsync everysec
        save ""
        maxmemory \(Self.memoryMax)
        maxmemory-policy allkeys-lru
        masterauth \(password)
        \(master.map { "replicaof 127.0.0.1 \($0)" } ?? "")

        """
    }

    func prepare() throws(CLIError) { try StackFolder.write(configuration, to: configurationFile) }

    func spec(executable: String, environment: [String: String]) -> ProcessSpec {
        ProcessSpec(
            name: name, executable: executable, arguments: [configurationFile], environment: environment,
            address: "127.0.0.1:\(port)",
            probe: .exchange(port: port, request: "AUTH \(password)\r\nPING\r\n", answer: "+OK\r\n+PONG")
        )
    }
}
