/// How this process proves who it is.
package enum NATSCredentials: Sendable {
    case none
    case userPassword(user: String, password: String)
    case token(String)
    /// A `.creds` file with a JWT and its seed. It is read again at every reconnect.
    case credentialsFile(path: String)
}

/// TLS with an own authority. The server's host name is verified.
package struct NATSTLS: Sendable {
    /// PEM file with the trusted authorities; nil uses the system's.
    package var caFile: String?
    /// PEM files of the client certificate; both or none.
    package var certificateFile: String?
    package var keyFile: String?
    /// The name to expect in the server's certificate; nil expects the host of the URL.
    package var expectedHostname: String?

    package init(
        caFile: String? = nil, certificateFile: String? = nil, keyFile: String? = nil, expectedHostname: String? = nil
    ) {
        self.caFile = caFile
        self.certificateFile = certificateFile
        self.keyFile = keyFile
        self.expectedHostname = expectedHostname
    }
}

/// Everything the driver can be told. Every bound has a name here.
package struct NATSConfiguration: Sendable {
    /// URLs such as `nats://host:4222`. All members of one cluster.
    package var servers: [String]
    /// The name shown in the server's connection list.
    package var name: String
    package var credentials: NATSCredentials
    package var tls: NATSTLS?
    /// For one server: TCP, TLS and the handshake together.
    package var connectTimeout: Duration = .seconds(2)
    /// For `request` and `acknowledgeConfirmed` when the caller names none.
    package var requestTimeout: Duration = .seconds(5)
    /// For `publishToStream` when the caller names none, counted from the call.
    package var publishTimeout: Duration = .seconds(5)
    /// How long a write to a server that does not read may block the writer thread before the connection is given up.
    package var writeTimeout: Duration = .seconds(2)
    /// Idle time before a ping, and how many may stay unanswered: together they find a dead connection.
    package var pingInterval: Duration = .seconds(20)
    package var pingsOutMax = 2
    /// Reconnecting: a random wait up to `base · 2^attempt`, never above the cap. It never gives up.
    package var reconnectBase: Duration = .milliseconds(250)
    package var reconnectCap: Duration = .seconds(2)
    /// Publishes to streams sent and not yet acknowledged; further callers wait in order.
    package var maxPendingPublishes = 2048
    /// The same bound in bytes; a single larger message may still go alone.
    package var maxPendingPublishBytes = 16 << 20
    /// Calls waiting for an answer or for their turn; beyond it they fail with `backlogFull`.
    package var maxCalls = 65_536
    /// Messages and bytes waiting for the writer thread; beyond it `publish` fails with `backlogFull`.
    package var maxQueuedMessages = 65_536
    package var maxQueuedBytes = 32 << 20

    package init(
        servers: [String], name: String, credentials: NATSCredentials = .none, tls: NATSTLS? = nil
    ) {
        self.servers = servers
        self.name = name
        self.credentials = credentials
        self.tls = tls
    }
}

/// What the connection is doing, as told by `stateChanges()`.
package enum NATSConnectionState: Sendable, Equatable {
    /// `reconnectCount` is 0 for the first connection. `server` holds no credentials.
    case connected(server: String, reconnectCount: Int)
    /// Reconnecting in the background, without end. Publishes wait in bounded queues.
    case disconnected(reason: String)
    /// `shutdown` was called. Final.
    case closed
}
