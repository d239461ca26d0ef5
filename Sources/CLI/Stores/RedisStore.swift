/// The stack's private redis-server: loopback, password, append-only file, bounded memory.
struct RedisStore: Sendable {
    static let memoryMax = "256mb"

    let folder: String
    let port: Int
    let password: String

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

        """
    }

    func prepare() throws(CLIError) { try StackFolder.write(configuration, to: configurationFile) }

    func spec(executable: String, environment: [String: String]) -> ProcessSpec {
        ProcessSpec(
            name: "redis", executable: executable, arguments: [configurationFile], environment: environment,
            address: "127.0.0.1:\(port)",
            probe: .exchange(port: port, request: "AUTH \(password)\r\nPING\r\n", answer: "+OK\r\n+PONG")
        )
    }
}
