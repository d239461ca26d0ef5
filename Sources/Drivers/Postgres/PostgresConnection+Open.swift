internal import CLibPQ
internal import Glibc

extension PostgresConnection {
    /// Connects to the first host of the connection string that accepts, each within `connectTimeout`.
    ///
    /// The hosts are tried one by one because libpq, asked not to block, leaves all timing to its caller and could not
    /// otherwise be moved on from a host that is silent. Only looking up a host's name may block longer.
    ///
    /// - Parameter isStopping: looked at when `interruption`'s wake-up is signalled.
    /// - Throws: `connectFailed` or `authenticationFailed`, of the last host.
    static func open(
        _ configuration: PostgresConfiguration, _ interruption: Interruption, isStopping: () -> Bool
    ) throws(PostgresError) -> PostgresConnection {
        var failure = PostgresError(.connectFailed, "The connection string names no host.")
        for target in try ConnectionTarget.all(in: configuration) {
            do throws(PostgresError) {
                let connection = try connect(target, configuration, interruption, isStopping)
                try connection.applySettings()
                return connection
            } catch {
                failure = error
            }
            if isStopping() { break }
        }
        throw failure
    }

    private static func connect(
        _ target: ConnectionTarget, _ configuration: PostgresConfiguration, _ interruption: Interruption,
        _ isStopping: () -> Bool
    ) throws(PostgresError) -> PostgresConnection {
        guard let raw = unsafe target.start() else {
            throw PostgresError(.connectFailed, "There is no memory for a database connection.")
        }
        var isOwned = false
        defer { if !isOwned { unsafe PQfinish(raw) } }
        // With SQLSTATEs in the message, a refused password can be told from a server that is away, in any language.
        unsafe PQsetErrorVerbosity(raw, PQERRORS_VERBOSE)
        unsafe PQsetNoticeProcessor(raw, { _, _ in }, nil)
        let end = ContinuousClock.now + configuration.connectTimeout
        var wanted = PGRES_POLLING_WRITING
        while wanted != PGRES_POLLING_OK {
            guard wanted != PGRES_POLLING_FAILED, unsafe PQstatus(raw) != CONNECTION_BAD else {
                throw unsafe refusal(raw, target)
            }
            let events = Int16(wanted == PGRES_POLLING_READING ? POLLIN : POLLOUT)
            let left = end - ContinuousClock.now
            let socket = unsafe PQsocket(raw)
            switch poll(socket: socket, events: events, wakeUp: interruption.wakeUp, for: left) {
            case .ready: wanted = unsafe PQconnectPoll(raw)
            case .woken: if isStopping() { throw JobQueue.closed }
            case .expired:
                guard ContinuousClock.now >= end else { continue }
                throw PostgresError(
                    .connectFailed, "\(target.place) did not answer in time. Nothing was sent; check that it is up."
                )
            }
        }
        unsafe PQsetErrorVerbosity(raw, PQERRORS_DEFAULT)
        guard unsafe PQsetnonblocking(raw, 1) == 0, unsafe PQenterPipelineMode(raw) == 1 else {
            throw unsafe refusal(raw, target)
        }
        isOwned = true
        return unsafe PostgresConnection(raw: raw, configuration: configuration, interruption: interruption)
    }

    /// Timeouts that the server keeps by itself, also when this process is gone.
    private func applySettings() throws(PostgresError) {
        try call(SessionSettings(configuration: configuration), within: configuration.connectTimeout)
    }

    /// Tells a refusal of this user from a server that is away, by the SQLSTATE in libpq's message (`FATAL:  28P01: …`)
    /// or, for what libpq refuses itself, by its words.
    private static func refusal(_ raw: OpaquePointer, _ target: ConnectionTarget) -> PostgresError {
        let text = unsafe PQerrorMessage(raw).map { unsafe String(cString: $0) } ?? ""
        let state = text.split(separator: ":").lazy.map { $0.drop { $0 == " " } }.first(where: isState).map(String.init)
        let isAuthentication = state?.hasPrefix("28") ?? isCertificate(text)
        let reason = text.split(separator: "\n").first.map(String.init) ?? "no reason given"
        let code: PostgresError.Code = isAuthentication ? .authenticationFailed : .connectFailed
        return PostgresError(
            code, "\(target.place) was not connected: \(reason). \(SQLState.advice(code))", sqlState: state
        )
    }

    /// libpq gives no SQLSTATE for what it refuses itself: the server's certificate, or a missing password.
    private static func isCertificate(_ text: String) -> Bool {
        ["certificate", "server does not support SSL", "no password supplied"].contains { text.contains($0) }
    }

    private static func isState(_ part: Substring) -> Bool {
        part.utf8.count == 5 && part.utf8.allSatisfy { (48...57).contains($0) || (65...90).contains($0) }
            && part.utf8.contains { (48...57).contains($0) }
    }
}

/// One host to try, with everything else the connection string says.
@safe struct ConnectionTarget {
    private var keywords: [(String, String)]
    /// Host and port, for messages.
    let place: String

    /// - Throws: `connectFailed` when the string cannot be read. libpq's reason may quote it, so it is not repeated.
    static func all(in configuration: PostgresConfiguration) throws(PostgresError) -> [ConnectionTarget] {
        guard let options = unsafe PQconninfoParse(configuration.connectionString, nil) else {
            throw PostgresError(
                .connectFailed,
                "The database connection string cannot be read. Correct it; it is secret, so it is not shown."
            )
        }
        defer { unsafe PQconninfoFree(options) }
        var given: [String: String] = [:]
        var option = unsafe options
        while let keyword = unsafe option.pointee.keyword {
            if let value = unsafe option.pointee.val { unsafe given[String(cString: keyword)] = String(cString: value) }
            unsafe option += 1
        }
        let fixed = ["application_name": configuration.applicationName, "client_encoding": "UTF8"]
        let tuned = ["keepalives_idle": "15", "keepalives_interval": "5", "keepalives_count": "3"]
        let settings = tuned.merging(given) { $1 }.merging(fixed) { $1 }
        return targets(settings)
    }

    /// `prefer-standby` means two rounds: standbys first, then whatever is there.
    private static func targets(_ settings: [String: String]) -> [ConnectionTarget] {
        let hosts = list(settings["host"])
        let addresses = list(settings["hostaddr"])
        let ports = list(settings["port"])
        let wanted = settings["target_session_attrs"]
        let rounds = wanted == "prefer-standby" ? ["standby", "any"] : [wanted]
        return rounds.flatMap { round in
            (0..<max(hosts.count, addresses.count, 1)).map { index in
                var one = settings
                one["host"] = index < hosts.count ? hosts[index] : nil
                one["hostaddr"] = index < addresses.count ? addresses[index] : nil
                one["port"] = ports.count > 1 && index < ports.count ? ports[index] : ports.first
                one["target_session_attrs"] = round
                let place = "\(one["host"] ?? one["hostaddr"] ?? "localhost"):\(one["port"] ?? "5432")"
                return ConnectionTarget(keywords: one.map { ($0.key, $0.value) }, place: place)
            }
        }
    }

    private static func list(_ value: String?) -> [String] {
        value.map { $0.split(separator: ",", omittingEmptySubsequences: false).map(String.init) } ?? []
    }

    /// Starts connecting without waiting. The handle is the caller's to finish; nil only without memory.
    func start() -> OpaquePointer? {
        let names = unsafe keywords.map { unsafe strdup($0.0) } + [nil]
        let values = unsafe keywords.map { unsafe strdup($0.1) } + [nil]
        defer { unsafe (names + values).forEach { text in unsafe free(text) } }
        return unsafe PQconnectStartParams(
            names.map { unsafe UnsafePointer($0) }, values.map { unsafe UnsafePointer($0) }, 0
        )
    }
}

/// Session settings, so that the server itself ends what its client cannot.
private struct SessionSettings: PostgresStatement {
    typealias Row = Void
    static let sql = """
        SELECT set_config('statement_timeout', $1, false), set_config('lock_timeout', $2, false),
            set_config('idle_in_transaction_session_timeout', $3, false),
            set_config('client_connection_check_interval', $4, false),
            -- No statement here is worth compiling, and plans whose costs are made up would be.
            set_config('jit', 'off', false)
        """
    static let isReadOnly = true
    let configuration: PostgresConfiguration

    func bind(to bindings: inout PostgresBindings) {
        bindings.text(milliseconds(configuration.statementTimeout))
        bindings.text(milliseconds(configuration.lockTimeout))
        bindings.text(milliseconds(configuration.transactionTimeout))
        bindings.text("1s")
    }

    private func milliseconds(_ duration: Duration) -> String {
        let (seconds, attoseconds) = duration.components
        return "\(max(1, min(seconds, 1_000_000) * 1000 + attoseconds / 1_000_000_000_000_000))ms"
    }
}

/// The server plans as it does by itself.
struct PlanByCall: PostgresStatement {
    typealias Row = Void
    static let sql = """
        SELECT set_config('plan_cache_mode', 'auto', false), set_config('enable_seqscan', 'on', false),
            set_config('enable_hashjoin', 'on', false), set_config('enable_mergejoin', 'on', false)
        """
}

/// The server plans once; and since a plan may be made while a table is empty and used when it has millions of rows,
/// only in the way that is right for those.
struct PlanOnce: PostgresStatement {
    typealias Row = Void
    static let sql = """
        SELECT set_config('plan_cache_mode', 'force_generic_plan', false), set_config('enable_seqscan', 'off', false),
            set_config('enable_hashjoin', 'off', false), set_config('enable_mergejoin', 'off', false)
        """
}
