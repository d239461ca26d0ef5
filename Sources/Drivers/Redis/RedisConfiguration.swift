package import DriverThreads

/// Where a Redis server is and how long and how much to wait for it.
///
/// Every queue and every wait of a connection has its bound here.
package struct RedisConfiguration: Sendable {
    package var host: String
    package var port: Int
    /// More servers of the same data. When there are any, only the one that calls itself master is served by; the
    /// others are tried in turn, until failover has made one of them master.
    package var alternatives: [Endpoint] = []
    /// Sent with the password as `AUTH username password`; without it the server's default user is meant.
    package var username: String?
    /// Secret: never logged, never part of an error.
    package var password: String?
    /// The numbered database to select; 0 is the server's default and the only one of a cluster.
    package var database: Int
    /// Speak TLS when present.
    package var tls: RedisTLS?
    /// The whole of one attempt: TCP, TLS, AUTH, SELECT and PING. The operating system's name resolver keeps its own.
    package var connectTimeout: Duration
    /// From the call to its reply, when the call names no limit of its own. After a timeout the connection is
    /// dropped and re-opened, so give slow commands a longer limit or, better, a connection of their own.
    package var commandTimeout: Duration
    /// The most commands that may be outstanding (queued or sent) at once.
    package var maxQueued: Int
    /// The most bytes of outstanding commands.
    package var maxQueuedBytes: Int
    /// The largest single command, in bytes as sent.
    package var maxCommandBytes: Int
    /// The largest single reply, in bytes as received.
    package var maxReplyBytes: Int
    /// How long to wait between attempts to connect.
    package var reconnect: Backoff

    package struct Endpoint: Sendable, Hashable {
        package let host: String
        package let port: Int
    }

    package init(
        host: String = "127.0.0.1", port: Int = 6379, username: String? = nil, password: String? = nil,
        database: Int = 0, tls: RedisTLS? = nil, connectTimeout: Duration = .seconds(1),
        commandTimeout: Duration = .milliseconds(25), maxQueued: Int = 8192, maxQueuedBytes: Int = 64 << 20,
        maxCommandBytes: Int = 8 << 20, maxReplyBytes: Int = 64 << 20, reconnect: Backoff = Backoff()
    ) {
        self.host = host
        self.port = port
        self.username = username
        self.password = password
        self.database = database
        self.tls = tls
        self.connectTimeout = connectTimeout
        self.commandTimeout = commandTimeout
        self.maxQueued = maxQueued
        self.maxQueuedBytes = maxQueuedBytes
        self.maxCommandBytes = maxCommandBytes
        self.maxReplyBytes = maxReplyBytes
        self.reconnect = reconnect
    }
}

extension RedisConfiguration {
    /// The same with the server that is to be tried in the attempt of that number.
    func server(forAttempt attempt: Int) -> RedisConfiguration {
        let place = attempt % (alternatives.count + 1)
        guard place > 0 else { return self }
        var other = self
        (other.host, other.port) = (alternatives[place - 1].host, alternatives[place - 1].port)
        return other
    }
}

extension RedisConfiguration: CustomStringConvertible, CustomDebugStringConvertible, CustomReflectable {
    /// Host, port and database; never the password, however the value is printed.
    package var description: String { "redis\(tls == nil ? "" : "s")://\(host):\(port)/\(database)" }
    package var debugDescription: String { description }
    package var customMirror: Mirror { Mirror(self, children: ["endpoint": description]) }
}

/// TLS towards a Redis server: TLS 1.2 or later, the certificate chain and the host name are always verified.
package struct RedisTLS: Sendable, Hashable {
    /// A PEM file of the trusted authorities; nil means the system's.
    package var authorityFile: String?
    /// The name or address the certificate must carry; nil means the configured host.
    package var serverName: String?
    /// PEM files of this client's certificate chain and key, for servers that ask for one (`tls-auth-clients yes`).
    package var certificateFile: String?
    package var keyFile: String?

    package init(
        authorityFile: String? = nil, serverName: String? = nil, certificateFile: String? = nil, keyFile: String? = nil
    ) {
        self.authorityFile = authorityFile
        self.serverName = serverName
        self.certificateFile = certificateFile
        self.keyFile = keyFile
    }
}
