/// Everything between nothing and a connection ready for commands: TCP, TLS, AUTH, SELECT, PING; all of it within
/// the configured connect timeout.
struct LinkHandshake {
    let configuration: RedisConfiguration
    let mailbox: Mailbox

    /// - Throws: `connectFailed`, `authenticationFailed`, or `closed` when a shutdown began meanwhile.
    func connect() throws(RedisError) -> Link {
        let deadline = ContinuousClock.now + configuration.connectTimeout
        let socket = try Socket.connect(
            host: configuration.host, port: configuration.port, deadline: deadline, wakeUp: mailbox.wakeUp,
            isClosing: { mailbox.isClosing }
        )
        let tls: TLSSession? =
            if let tls = configuration.tls { try TLSSession(tls, host: configuration.host) } else { nil }
        var link = Link(socket: socket, tls: tls, maxReplyBytes: configuration.maxReplyBytes)
        while try !link.handshake() {
            try flush(&link, deadline)
            try wait(&link, deadline)
            try link.receiveHandshake()
        }
        try greet(&link, deadline)
        return link
    }

    private func greet(_ link: inout Link, _ deadline: ContinuousClock.Instant) throws(RedisError) {
        var commands: [[RedisArgument]] = []
        if let password = configuration.password {
            let user = configuration.username.map { [RedisArgument.text($0)] } ?? []
            commands.append(["AUTH"] + user + [.text(password)])
        }
        if configuration.database != 0 { commands.append(["SELECT", RedisArgument(configuration.database)]) }
        let mustBeMaster = !configuration.alternatives.isEmpty
        if mustBeMaster { commands.append(["ROLE"]) }
        commands.append(["PING"])
        for command in commands {
            try link.write(try CommandEncoder.encode(command, maxBytes: configuration.maxCommandBytes))
        }
        var replies: [ReplyReader.Parsed] = []
        while replies.count < commands.count {
            try flush(&link, deadline)
            try wait(&link, deadline)
            let end = link.receive(into: &replies)
            // A server that refuses may say why and hang up; what it said comes first.
            for reply in replies { try check(reply) }
            if let end { throw RedisError(.connectFailed, end.message, underlying: end) }
        }
        guard replies.count == commands.count, case .success(.status("PONG")) = replies[commands.count - 1] else {
            throw RedisError(.protocolViolation, "The server did not answer PING with PONG; is it a Redis server?")
        }
        guard !mustBeMaster || Self.isMaster(replies[commands.count - 2]) else {
            throw RedisError(.connectFailed, "Redis is a replica at the moment; its master is looked for.")
        }
    }

    private static func isMaster(_ reply: ReplyReader.Parsed) -> Bool {
        guard case .success(let role) = reply else { return false }
        return role.array?.first?.text == "master"
    }

    private func check(_ reply: ReplyReader.Parsed) throws(RedisError) {
        guard case .failure(let refusal) = reply, case .server(let word) = refusal.code else { return }
        if ["WRONGPASS", "NOAUTH", "NOPERM"].contains(word) || refusal.message.contains("AUTH") {
            throw RedisError(
                .authenticationFailed, "Redis refused the user name or password (\(word)). Correct the configuration.",
                underlying: refusal
            )
        }
        throw RedisError(.connectFailed, "Redis is not ready: \(refusal.message)", underlying: refusal)
    }

    private func flush(_ link: inout Link, _ deadline: ContinuousClock.Instant) throws(RedisError) {
        try link.flush()
        while link.unsentBytes > 0 {
            _ = link.socket.wait(write: true, wakeUp: mailbox.wakeUp, until: deadline)
            try checkTime(deadline)
            try link.flush()
        }
    }

    private func wait(_ link: inout Link, _ deadline: ContinuousClock.Instant) throws(RedisError) {
        while !link.socket.wait(read: true, wakeUp: mailbox.wakeUp, until: deadline).readable {
            try checkTime(deadline)
        }
    }

    private func checkTime(_ deadline: ContinuousClock.Instant) throws(RedisError) {
        if mailbox.isClosing { throw .closed }
        guard ContinuousClock.now < deadline else {
            throw RedisError(
                .connectFailed, "Redis took the connection but gave no answer in \(configuration.connectTimeout)."
            )
        }
    }
}
