internal import DriverThreads
internal import Synchronization

extension NATSConnection {
    /// Queues a message and returns at once. While disconnected it waits for the next session; a message that was being
    /// written when a connection broke is lost, as is everything queued at `shutdown`'s deadline.
    ///
    /// - Throws: `invalidSubject`, `invalidHeader`, `payloadTooLarge`, `backlogFull`, `closed`.
    package func publish(
        _ subject: String, headers: [String: String] = [:], payload: [UInt8]
    ) throws(NATSError) {
        try writer.enqueue([outgoing(subject, headers, payload)])
    }

    /// Publishes and waits until the stream has stored the message.
    ///
    /// Callers may come by the thousand: `maxPendingPublishes` are in flight, the rest wait in order, and the timeout
    /// counts from the call. With a `messageID` it is safe to publish again after `outcomeUnknown`.
    /// - Parameter timeout: nil for the configured `publishTimeout`.
    /// - Throws: `outcomeUnknown` (sent, no answer in time, or cancelled meanwhile), `timeout`, `disconnected`,
    ///   `cancelled` (all three: never sent), `noResponders` (no stream captures the subject, or a clustered one is
    ///   electing its leader: not stored, try again), `jetStream`, `payloadTooLarge`, `invalidSubject`,
    ///   `invalidHeader`, `backlogFull`, `closed`.
    package func publishToStream(
        _ subject: String, headers: [String: String] = [:], payload: [UInt8], messageID: String? = nil,
        expectedStream: String? = nil, timeout: Duration? = nil
    ) async throws(NATSError) -> StreamAck {
        var headers = headers
        if let messageID { headers["Nats-Msg-Id"] = messageID }
        if let expectedStream { headers["Nats-Expected-Stream"] = expectedStream }
        let answer = try await call(
            .publish, timeout: timeout ?? configuration.publishTimeout
        ) { id throws(NATSError) in try outgoing(subject, headers, payload, call: id) }
        return try JetStreamAnswer.acknowledgement(answer)
    }

    /// Publishes many and waits until the stream has answered for each: cheaper than as many calls.
    ///
    /// - Parameter timeout: nil for the configured `publishTimeout`; for all of them, from the call on.
    /// - Returns: what became of each, in their order; the errors are those that `publishToStream` throws for one.
    package func publishToStream(
        _ messages: [StreamMessage], timeout: Duration? = nil
    ) async -> [Result<StreamAck, NATSError>] {
        let ids = calls.withLock { $0.newIDs(messages.count) }
        var results = [Result<StreamAck, NATSError>](repeating: .failure(CallLedger.closed), count: messages.count)
        var sent: [(id: UInt64, message: Outgoing)] = []
        var places: [Int] = []
        sent.reserveCapacity(messages.count)
        places.reserveCapacity(messages.count)
        for (place, id) in ids.enumerated() {
            do throws(NATSError) {
                let (subject, headers) = (messages[place].subject, messages[place].headers)
                sent.append((id, try outgoing(subject, headers, messages[place].payload, call: id)))
                places.append(place)
            } catch {
                results[place] = .failure(error)
            }
        }
        let answers = await wait(sent, ids, timeout: timeout ?? configuration.publishTimeout)
        for (place, answer) in zip(places, answers) { results[place] = answer }
        return results
    }

    /// Asks, and waits for the first answer without blocking a thread.
    ///
    /// - Parameter timeout: nil for the configured `requestTimeout`; counts from the call.
    /// - Throws: `timeout`, `noResponders`, `disconnected`, `cancelled`, `payloadTooLarge`, `invalidSubject`,
    ///   `invalidHeader`, `backlogFull`, `closed`.
    package func request(
        _ subject: String, headers: [String: String] = [:], payload: [UInt8], timeout: Duration? = nil
    ) async throws(NATSError) -> NATSMessage {
        try await call(.request, timeout: timeout ?? configuration.requestTimeout) { id throws(NATSError) in
            try outgoing(subject, headers, payload, call: id)
        }
    }

    /// A request to `$JS.API.<operation>` whose error answers are thrown.
    ///
    /// - Parameter operation: for instance `STREAM.INFO.WORK`.
    /// - Returns: the answer's JSON.
    /// - Throws: `jetStream` with its code, and what `request` throws.
    package func jetStream(
        _ operation: String, payload: [UInt8] = [], timeout: Duration? = nil
    ) async throws(NATSError) -> [UInt8] {
        let answer = try await request("$JS.API." + operation, payload: payload, timeout: timeout)
        _ = try JetStreamAnswer.checked(answer)
        return answer.payload
    }

    /// The time of a ping to the server and back. All that was queued before has been written by then.
    ///
    /// - Throws: `timeout`, `disconnected`, `cancelled`, `closed`.
    package func roundTripTime(timeout: Duration = .seconds(2)) async throws(NATSError) -> Duration {
        guard case .connected = state else {
            throw state == .closed
                ? CallLedger.closed : NATSError(.disconnected, "There is no connection to NATS at the moment.")
        }
        let answer = try await call(timeout: timeout) { id in
            self.ping(within: timeout) { result in
                let answer = result.map { NATSMessage(subject: "", payload: Array("\($0.wholeNanoseconds)".utf8)) }
                self.carryOut(self.calls.withLock { $0.answer(id, answer) })
            }
        }
        return .nanoseconds(Int64(String(decoding: answer.payload, as: UTF8.self)) ?? 0)
    }

    /// Pings on a thread of its own, because the library blocks; the job keeps the order with what is queued.
    func ping(within limit: Duration, _ done: @escaping @Sendable (Result<Duration, NATSError>) -> Void) {
        writer.enqueue { session in
            startThread(name: "nats-ping") {
                let start = ContinuousClock.now
                do throws(NATSError) {
                    try session.flush(within: limit)
                    done(.success(start.duration(to: .now)))
                } catch {
                    done(.failure(error))
                }
            }
        }
    }

    /// - Parameter message: makes the message of the call with that number.
    func call(
        _ kind: CallLedger.Kind, timeout: Duration, _ message: (UInt64) throws(NATSError) -> Outgoing
    ) async throws(NATSError) -> NATSMessage {
        let id = calls.withLock { $0.newID() }
        return try await wait(id, kind, try message(id), timeout: timeout) {}
    }

    private func call(
        timeout: Duration, _ start: @escaping @Sendable (UInt64) -> Void
    ) async throws(NATSError) -> NATSMessage {
        let id = calls.withLock { $0.newID() }
        return try await wait(id, .request, nil, timeout: timeout) { start(id) }
    }

    private func wait(
        _ id: UInt64, _ kind: CallLedger.Kind, _ message: Outgoing?, timeout: Duration, _ started: () -> Void
    ) async throws(NATSError) -> NATSMessage {
        let deadline = ContinuousClock.now + max(.zero, timeout)
        let answer: CallLedger.Answer = await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                carryOut(calls.withLock { $0.add(id, kind, message, deadline: deadline, .caller(continuation)) })
                // The handler may have run before there was anything to cancel.
                if Task.isCancelled { carryOut(calls.withLock { $0.cancel(id..<(id + 1)) }) }
                started()
            }
        } onCancel: {
            carryOut(calls.withLock { $0.cancel(id..<(id + 1)) })
        }
        return try answer.get()
    }

    /// The answers to publishes whose ids lie within `ids`.
    private func wait(
        _ messages: [(id: UInt64, message: Outgoing)], _ ids: Range<UInt64>, timeout: Duration
    ) async -> [CallBatch.Answer] {
        guard !messages.isEmpty else { return [] }
        let deadline = ContinuousClock.now + max(.zero, timeout)
        return await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                let batch = CallBatch(messages.count, continuation)
                carryOut(calls.withLock { $0.add(messages, deadline: deadline, batch) })
                // As above.
                if Task.isCancelled { carryOut(calls.withLock { $0.cancel(ids) }) }
            }
        } onCancel: {
            carryOut(calls.withLock { $0.cancel(ids) })
        }
    }

    private func outgoing(
        _ subject: String, _ headers: [String: String], _ payload: [UInt8], call: UInt64? = nil
    ) throws(NATSError) -> Outgoing {
        try WireNames.checkSubject(subject, allowsWildcards: false)
        try WireNames.checkHeaders(headers)
        let message = Outgoing(subject: subject, headers: headers, payload: payload, call: call)
        let limit = maxPayloadBytes
        guard message.sizeBytes <= limit else {
            throw NATSError(
                .payloadTooLarge,
                "The message has \(message.sizeBytes) bytes and the server takes \(limit). Nothing was sent."
            )
        }
        return message
    }
}
