/// One of three sentinels, which watch the two Redis servers and make the replica master when two of them agree that
/// the master is gone.
struct RedisSentinel: Sendable {
    static let masterName = "golden"
    static let quorum = 2
    static let downAfterMilliseconds = 1500

    let name: String
    let folder: String
    let port: Int
    let password: String
    let master: Int

    var configurationFile: String { "\(folder)/sentinel.conf" }

    /// Sentinel writes into the file what it learns, so it is written at the stack's start alone.
    var configuration: String {
        """
        bind 127.0.0.1
        port \(port)
        requirepass \(password)
        sentinel sentinel-pass \(password)
        dir \(NATSStore.quoted(folder))
        daemonize no
        sentinel monitor \(Self.masterName) 127.0.0.1 \(master) \(Self.quorum)
        sentinel auth-pass \(Self.masterName) \(password)
        sentinel down-after-milliseconds \(Self.masterName) \(Self.downAfterMilliseconds)
        sentinel failover-timeout \(Self.masterName) 6000
        sentinel parallel-syncs \(Self.masterName) 1

        """
    }

    func prepare() throws(CLIError) { try StackFolder.write(configuration, to: configurationFile) }

    func spec(executable: String, environment: [String: String]) -> ProcessSpec {
        ProcessSpec(
            name: name, executable: executable, arguments: [configurationFile, "--sentinel"], environment: environment,
            address: "127.0.0.1:\(port)",
            probe: .exchange(port: port, request: "AUTH \(password)\r\nPING\r\n", answer: "+OK\r\n+PONG")
        )
    }

    /// Which of `servers` the sentinels on `ports` call master; nil when none of them says.
    static func master(of servers: [Int], sentinels ports: [Int], password: String) -> Int? {
        let request = "AUTH \(password)\r\nSENTINEL get-master-addr-by-name \(masterName)\r\n"
        for port in ports {
            guard let answer = Ports.exchange(port, request: request, milliseconds: 500) else { continue }
            for server in servers where answer.contains("\r\n\(server)\r\n") { return server }
        }
        return nil
    }
}
