internal import Bootstrap
package import Contracts
internal import FoundationEssentials
package import NATS

extension MessageBus {
    /// Publishes to the stream that captures the channel's subject and waits until it is stored.
    ///
    /// - Parameter id: what JetStream deduplicates by for two minutes. Retries must use the same one.
    package func publish<Message: WireMessage>(
        _ message: Message, on channel: Channel<Message>, id: String?, traceparent: String? = nil,
        tenant: TenantID? = nil, timeout: Duration? = nil
    ) async throws(BusError) -> StreamAck {
        var headers: [String: String] = [:]
        headers[MessageHeader.traceparent] = traceparent
        headers[MessageHeader.tenant] = tenant?.text
        return try await store(
            channel.subject, payload: Array(message.json.bytes), id: id, headers: headers, timeout: timeout
        )
    }

    /// Publishes bytes that were made earlier, such as an outbox row's.
    package func publishRaw(
        subject: Subject, payload: [UInt8], id: String?, headers: [String: String] = [:], timeout: Duration? = nil
    ) async throws(BusError) -> StreamAck {
        try await store(subject.text, payload: payload, id: id, headers: headers, timeout: timeout)
    }

    /// Publishes many such at once, each waited for: cheaper than as many calls.
    ///
    /// - Returns: what became of each, in their order.
    package func publishRaw(
        _ messages: [StreamMessage], timeout: Duration? = nil
    ) async -> [Result<StreamAck, BusError>] {
        let start = Date()
        var messages = messages
        // Whoever receives them goes on from here.
        let spans = tracer.isOn ? messages.map { tracer.begin(below: $0.headers[MessageHeader.traceparent]) } : []
        for (index, span) in spans.enumerated() {
            if let span { messages[index].headers[MessageHeader.traceparent] = span.traceparent }
        }
        var results = await storeOnce(messages, timeout)
        let homeless = results.indices.filter { Self.isHomeless(results[$0]) }
        if !homeless.isEmpty {
            do throws(BusError) {
                try await keeper.repair()
                let again = await storeOnce(homeless.map { messages[$0] }, timeout)
                for (index, result) in zip(homeless, again) { results[index] = result }
            } catch {
                for index in homeless { results[index] = .failure(error) }
            }
        }
        let failed = results.count { if case .failure = $0 { true } else { false } }
        counters.change { $0.publishFailed += failed }
        for (index, span) in spans.enumerated() {
            var isFailed = false
            if case .failure = results[index] { isFailed = true }
            trace(.producer, "publish", messages[index].subject, span, from: start, isFailed: isFailed)
        }
        return results
    }

    /// Whether no stream took it.
    private static func isHomeless(_ result: Result<StreamAck, BusError>) -> Bool {
        switch result {
        case .success: false
        case .failure(let error): error.code == .topologyMissing
        }
    }

    /// Core NATS: fire and forget, buffered for a moment while reconnecting.
    package func send<Message: WireMessage>(
        _ message: Message, on channel: Channel<Message>, headers: [String: String] = [:]
    ) throws(BusError) {
        try sendRaw(channel.subject, payload: Array(message.json.bytes), headers: headers)
    }

    /// Core NATS without a body or with one made elsewhere.
    package func sendRaw(_ subject: Subject, payload: [UInt8] = []) throws(BusError) {
        try sendRaw(subject.text, payload: payload)
    }

    private func sendRaw(_ subject: String, payload: [UInt8], headers: [String: String] = [:]) throws(BusError) {
        do {
            try connection.publish(subject, headers: headers, payload: payload)
        } catch {
            throw BusError(error, doing: "Sending on \(subject)")
        }
    }

    func store(
        _ subject: String, payload: [UInt8], id: String?, headers: [String: String], timeout: Duration?
    ) async throws(BusError) -> StreamAck {
        let start = Date()
        var headers = headers
        // Whoever receives it goes on from here.
        let span = tracer.begin(below: headers[MessageHeader.traceparent])
        if let span { headers[MessageHeader.traceparent] = span.traceparent }
        do {
            let ack = try await storeOrRepair(subject, payload: payload, id: id, headers: headers, timeout: timeout)
            trace(.producer, "publish", subject, span, from: start)
            return ack
        } catch {
            trace(.producer, "publish", subject, span, from: start, isFailed: true)
            throw error
        }
    }

    /// A message's span, below that of what had it published, or of its publishing.
    func trace(
        _ kind: TraceSpan.Kind, _ verb: String, _ subject: String, _ span: OpenSpan?, from start: Date,
        isFailed: Bool = false
    ) {
        guard let span else { return }
        // Subjects end in ids; spans of one kind share a name.
        tracer.end(
            "\(verb) \(subject.prefix { $0 != "." })", span, kind, from: start,
            attributes: [("messaging.system", "nats"), ("messaging.destination.name", subject)], isFailed: isFailed)
    }

    /// One try, and a second after a repair when no stream took the message.
    private func storeOrRepair(
        _ subject: String, payload: [UInt8], id: String?, headers: [String: String], timeout: Duration?
    ) async throws(BusError) -> StreamAck {
        do {
            return try await storeOnce(subject, payload, id, headers, timeout)
        } catch {
            guard error.code == .topologyMissing else {
                counters.change { $0.publishFailed += 1 }
                throw error
            }
        }
        do {
            try await keeper.repair()
            return try await storeOnce(subject, payload, id, headers, timeout)
        } catch {
            counters.change { $0.publishFailed += 1 }
            throw error
        }
    }

    private func storeOnce(
        _ subject: String, _ payload: [UInt8], _ id: String?, _ headers: [String: String], _ timeout: Duration?
    ) async throws(BusError) -> StreamAck {
        do {
            let ack = try await connection.publishToStream(
                subject, headers: headers, payload: payload, messageID: id, expectedStream: nil, timeout: timeout
            )
            counters.change { $0.published += 1 }
            return ack
        } catch {
            throw BusError(error, doing: "Publishing on \(subject)")
        }
    }

    private func storeOnce(
        _ messages: [StreamMessage], _ timeout: Duration?
    ) async -> [Result<StreamAck, BusError>] {
        let answers = await connection.publishToStream(messages, timeout: timeout)
        let stored = answers.count { if case .success = $0 { true } else { false } }
        counters.change { $0.published += stored }
        return answers.enumerated().map { index, answer in
            answer.mapError { BusError($0, doing: "Publishing on \(messages[index].subject)") }
        }
    }
}
