internal import CLibPQ
internal import Glibc

extension PostgresConnection {
    /// A statement prepared on this connection.
    struct PreparedStatement {
        /// With its terminating NUL.
        let wireName: [CChar]
    }

    /// Results read before the end of a pipeline that has answered every step; more would be a broken server.
    private static let maxTrailingResults = 16

    // MARK: Sending

    /// Collects a statement's values. A value that cannot be sent is refused here, before anything is queued.
    func bind<S: PostgresStatement>(_ statement: S) throws(PostgresError) {
        bindings.removeAll()
        statement.bind(to: &bindings)
        if let failure = bindings.failure { throw failure }
    }

    /// Queues the statement just bound, preceded by its preparation when this connection has not seen it yet.
    func queueBound<S: PostgresStatement>(_ type: S.Type, as step: Step = .statement) throws(PostgresError) {
        let id = ObjectIdentifier(S.self)
        if let known = prepared[id] {
            try sendBindings(known)
        } else {
            try sendBindings(try prepare(S.self, id))
        }
        steps.append(step)
    }

    /// Queues what makes the server plan as the next statement wants it, where it does not already. What is bound for
    /// that statement stays.
    func queuePlanning(_ wanted: PostgresPlanning) throws(PostgresError) {
        guard planning != wanted else { return }
        var bound = PostgresBindings(maxBytes: 0)
        swap(&bound, &bindings)
        defer { swap(&bound, &bindings) }
        switch wanted {
        case .byCall: try queueBound(PlanByCall.self)
        case .once: try queueBound(PlanOnce.self)
        }
        planning = wanted
    }

    /// Queues a statement of the driver's own that has no values, such as BEGIN.
    func queue(_ step: Step, _ sql: String) throws(PostgresError) {
        guard unsafe PQsendQueryParams(raw, sql, 0, nil, nil, nil, nil, 1) == 1 else { throw lost(libraryMessage()) }
        steps.append(step)
    }

    private func prepare<S: PostgresStatement>(
        _ type: S.Type, _ id: ObjectIdentifier
    ) throws(PostgresError) -> PreparedStatement {
        // The number keeps two types of one name apart; the server keeps 63 bytes.
        preparedCount += 1
        let label = "s\(preparedCount)_\(S.name)".utf8.prefix(63).map { CChar(bitPattern: $0) } + [0]
        let sent = unsafe PQsendPrepare(raw, label, S.sql, Int32(bindings.types.count), bindings.types)
        guard sent == 1 else { throw lost(libraryMessage()) }
        let statement = PreparedStatement(wireName: label)
        prepared[id] = statement
        steps.append(.prepare(id))
        return statement
    }

    private func sendBindings(_ statement: PreparedStatement) throws(PostgresError) {
        let count = bindings.offsets.count
        let sent = unsafe bindings.bytes.withUnsafeBufferPointer { bytes in
            unsafe withUnsafeTemporaryAllocation(of: UnsafePointer<CChar>?.self, capacity: max(1, count)) { values in
                for place in 0..<count {
                    let offset = bindings.offsets[place]
                    unsafe values.initializeElement(at: place, to: Self.pointer(into: bytes, at: offset))
                }
                return unsafe PQsendQueryPrepared(
                    raw, statement.wireName, Int32(count), values.baseAddress, bindings.lengths, bindings.formats, 1
                )
            }
        }
        guard sent == 1 else { throw lost(libraryMessage()) }
    }

    /// NULL is a nil pointer; an empty value needs one that is not.
    private static func pointer(into bytes: UnsafeBufferPointer<UInt8>, at offset: Int) -> UnsafePointer<CChar>? {
        guard offset != PostgresBindings.null else { return nil }
        guard let base = bytes.baseAddress else { return unsafe UnsafePointer(bitPattern: 1) }
        return unsafe UnsafeRawPointer(base + offset).assumingMemoryBound(to: CChar.self)
    }

    // MARK: The round trip

    /// Sends everything queued and reads every answer. Answers the last statement's result.
    ///
    /// - Throws: the first step's error, after all answers are read; or what `lost(_:)` says when the connection ended.
    func exchange() throws(PostgresError) -> QueryResult? {
        isInFlight = true
        defer {
            isInFlight = false
            steps.removeAll(keepingCapacity: true)
        }
        startWaiting()
        guard unsafe PQpipelineSync(raw) == 1 else { throw lost(libraryMessage()) }
        try flush()
        var failure: PostgresError?
        var answer: QueryResult?
        do throws(PostgresError) {
            for step in steps {
                guard let result = try nextResult() else { throw lost(libraryMessage()) }
                let stepFailure = try note(step, result, afterFailure: failure != nil)
                if failure == nil { failure = stepFailure }
                switch step {
                case .answered(let take) where failure == nil:
                    do throws(PostgresError) { try take(result) } catch { failure = error }
                case .statement: answer = consume result
                default: break
                }
                _ = try nextResult()
            }
            if let late = try readToSync(), failure == nil { failure = late }
        } catch {
            // What the server said itself is more exact than that it then hung up; after its word that the COMMIT is
            // done, hanging up changes nothing.
            if phase == .finished, failure == nil { return answer }
            throw failure ?? error
        }
        if let failure {
            planning = nil
            throw failure
        }
        return answer
    }

    func flush() throws(PostgresError) {
        while true {
            let left = unsafe PQflush(raw)
            if left == 0 { return }
            guard left == 1 else { throw lost(libraryMessage()) }
            try wait(events: Int16(POLLIN | POLLOUT))
            guard unsafe PQconsumeInput(raw) == 1 else { throw lost(libraryMessage()) }
        }
    }

    /// The next result, or nil between two steps.
    func nextResult() throws(PostgresError) -> QueryResult? {
        while unsafe PQisBusy(raw) == 1 {
            try wait(events: Int16(POLLIN))
            guard unsafe PQconsumeInput(raw) == 1 else { throw lost(libraryMessage()) }
        }
        guard let result = unsafe PQgetResult(raw) else { return nil }
        return unsafe QueryResult(result)
    }

    /// Reads up to the mark that ends the round trip. An autocommit statement commits only here, so an error may still
    /// come (a deferred constraint).
    private func readToSync() throws(PostgresError) -> PostgresError? {
        var failure: PostgresError?
        for _ in 0..<Self.maxTrailingResults {
            guard let result = try nextResult() else {
                guard unsafe PQstatus(raw) == CONNECTION_OK else { throw lost(libraryMessage()) }
                continue
            }
            if result.isSync { return failure }
            let late = try self.failure(of: result)
            if let late, late.code == .connectionLost { throw lost("the server ended the session") }
            if failure == nil { failure = late }
        }
        throw lost("the server broke the protocol")
    }

    /// Notes what one step's answer means for the connection; answers the step's error, if it has one.
    private func note(
        _ step: Step, _ result: borrowing QueryResult, afterFailure: Bool
    ) throws(PostgresError) -> PostgresError? {
        if result.isSkipped {
            if case .prepare(let id) = step { prepared[id] = nil }
            return afterFailure ? nil : lost("the server broke the protocol")
        }
        var failure = try failure(of: result)
        switch step {
        case .begin: if failure == nil { phase = .open }
        case .prepare(let id): if failure != nil { prepared[id] = nil }
        case .commit:
            // A session that is ended at this very step may have committed before.
            if let failure, failure.code == .connectionLost { throw lost("the server ended the session") }
            if failure == nil { failure = committed(result) }
        case .statement, .answered, .rollback: break
        }
        if failure != nil, phase == .open { phase = .failed }
        return failure
    }

    /// COMMIT of a transaction that had failed answers ROLLBACK.
    private func committed(_ result: borrowing QueryResult) -> PostgresError? {
        guard result.command == "COMMIT" else { return ignoredFailure() }
        phase = .finished
        return nil
    }

    /// - Throws: what `lost(_:)` says when the error is libpq's own, which means that the connection ended.
    func failure(of result: borrowing QueryResult) throws(PostgresError) -> PostgresError? {
        guard result.isFailure else { return nil }
        guard let failure = result.failure(interruption: interruption.reason) else { throw lost(libraryMessage()) }
        if failure.sqlState == SQLState.readOnlyTransaction { giveUp() }
        return failure
    }

    /// The answer of a transaction whose body went on after an error.
    func ignoredFailure() -> PostgresError {
        PostgresError(
            .sql,
            "The transaction was rolled back, because a statement in it had failed and the failure was ignored. "
                + "Nothing was kept; let the error of `execute` end the transaction.",
            sqlState: "25P02"
        )
    }

    // MARK: The end of a connection

    /// Gives the connection up, and says what that means for what was being done.
    func lost(_ why: String) -> PostgresError {
        giveUp()
        if isInFlight && mayHaveCommitted {
            return PostgresError(
                .outcomeUnknown,
                "The connection ended before the server confirmed the commit: \(why). It was kept or it was not; "
                    + "read the rows back before writing again."
            )
        }
        let code = interruption.reason?.code ?? .connectionLost
        return PostgresError(code, "The call was ended with its connection: \(why). \(SQLState.advice(code))")
    }

    private var mayHaveCommitted: Bool {
        if case .autocommit(readOnly: false) = phase { return true }
        return steps.contains { if case .commit = $0 { true } else { false } }
    }

    /// The first line of libpq's message.
    func libraryMessage() -> String {
        guard let text = unsafe PQerrorMessage(raw) else { return "no reason given" }
        let line = unsafe String(cString: text).split(separator: "\n").first.map(String.init)
        return line ?? "the connection was closed"
    }
}
