internal import AgentWorkerCore
internal import AsyncHTTPClient
internal import Bootstrap
internal import NIOCore
internal import NIOHTTP1
internal import Synchronization

/// Makes one call of a model endpoint. Certificates are verified, redirects are not followed.
struct ModelClient: Sendable {
    /// What is read of an answer that refuses.
    private static let refusalBytesMax = 64 << 10
    private static let connectTimeout: TimeAmount = .seconds(5)

    let settings: ModelSettings
    private let http: HTTPClient

    /// - Parameter slots: how many calls there are at once.
    init(_ settings: ModelSettings, slots: Int) {
        self.settings = settings
        var configuration = HTTPClient.Configuration()
        configuration.timeout = .init(connect: Self.connectTimeout, read: settings.silenceMax.timeAmount)
        configuration.redirectConfiguration = .disallow
        // A failure is the breaker's to know at once, and ours to repeat.
        configuration.connectionPool.retryConnectionEstablishment = false
        configuration.connectionPool.concurrentHTTP1ConnectionsPerHostSoftLimit = slots
        http = HTTPClient(eventLoopGroupProvider: .singleton, configuration: configuration)
    }

    func shutDown() async throws { try await http.shutdown() }

    /// How a call ended that was not cancelled.
    struct Outcome: Sendable {
        let result: Result<ChatStream, ModelFailure>
        /// From the call to the first bytes of the answer.
        let firstWord: Duration?
    }

    /// Asks, and reads the answer as it comes; nil when the task was cancelled.
    ///
    /// - Parameters:
    ///   - timeLeft: until nobody waits for the answer. Where that is less than a call may take, an answer that comes
    ///     too late says nothing of the endpoint.
    ///   - heard: told how many bytes of text there are, each time some come.
    func ask(_ body: [UInt8], within timeLeft: Duration, heard: @escaping @Sendable (Int) -> Void) async -> Outcome? {
        let limit = min(settings.callTimeout, timeLeft)
        let first = FirstWord()
        return await withTaskGroup(of: Result<ChatStream, ModelFailure>?.self) { group in
            group.addTask {
                do throws(ModelFailure) {
                    return .success(
                        try await exchange(body) { textBytes in
                            first.note()
                            heard(textBytes)
                        }
                    )
                } catch {
                    return .failure(error)
                }
            }
            group.addTask {
                do { try await Task.sleep(for: limit) } catch {
                    // The other one was first, or all of it is cancelled.
                    return nil
                }
                return .failure(Self.timeout("took longer than \(limit)", isOutage: limit == settings.callTimeout))
            }
            let ended = await group.next() ?? nil
            group.cancelAll()
            await group.waitForAll()
            guard !Task.isCancelled, let ended else { return nil }
            return Outcome(result: ended, firstWord: first.after)
        }
    }

    private func exchange(_ body: [UInt8], heard: (Int) -> Void) async throws(ModelFailure) -> ChatStream {
        let response = try await head(body)
        guard response.status == .ok else { throw await refusal(response) }
        let type = (response.headers.first(name: "content-type") ?? "").lowercased()
        let isStream = type.hasPrefix("text/event-stream")
        guard isStream || type.hasPrefix("application/json") else {
            throw ModelFailure(
                .badAnswer,
                "The model endpoint answered with \(type.isEmpty ? "no content type" : StderrReader.cut(type, 100)).",
                isRetryable: true, isOutage: true
            )
        }
        var stream = ChatStream(isStream: isStream)
        do {
            for try await chunk in response.body {
                try stream.read(chunk.readableBytesView)
                heard(stream.text.utf8.count)
                if stream.isDone { return stream }
            }
        } catch let failure as ModelFailure {
            throw failure
        } catch let error as HTTPClientError where error == .readTimeout {
            throw Self.timeout("stopped in the middle for \(settings.silenceMax)")
        } catch {
            throw ModelFailure(
                .streamBroken, "The model's answer broke off: \(error).", isRetryable: true, isOutage: true
            )
        }
        try stream.end()
        return stream
    }

    private func head(_ body: [UInt8]) async throws(ModelFailure) -> HTTPClientResponse {
        var request = HTTPClientRequest(url: settings.url)
        request.method = .POST
        request.headers.add(name: "content-type", value: "application/json")
        request.headers.add(name: "accept", value: "text/event-stream, application/json")
        request.headers.add(name: "user-agent", value: "golden-agent-worker/\(Version.current)")
        if let key = settings.key { request.headers.add(name: "authorization", value: "Bearer \(key)") }
        request.body = .bytes(body)
        do {
            // The deadline of the call as a whole is kept around this.
            return try await http.execute(request, deadline: .distantFuture)
        } catch let error as HTTPClientError where error == .readTimeout {
            throw Self.timeout("said nothing for \(settings.silenceMax)")
        } catch {
            throw ModelFailure(
                .unreachable, "The model endpoint \(settings.breaker.dropFirst(4)) cannot be reached: \(error).",
                isRetryable: true, isOutage: true, isRepeatable: true
            )
        }
    }

    private func refusal(_ response: HTTPClientResponse) async -> ModelFailure {
        var bytes: [UInt8] = []
        do {
            for try await chunk in response.body {
                bytes += chunk.readableBytesView.prefix(Self.refusalBytesMax - bytes.count)
                if bytes.count >= Self.refusalBytesMax { break }
            }
        } catch {
            // The status says enough.
            bytes = []
        }
        var words = ModelFailure.words(of: bytes)
        if let key = settings.key { words = words.replacing(key, with: "<redacted>") }
        return ModelFailure(
            status: Int(response.status.code), said: words, retryAfter: response.headers.first(name: "retry-after")
        )
    }

    private static func timeout(_ what: String, isOutage: Bool = true) -> ModelFailure {
        ModelFailure(.timeout, "The model endpoint \(what).", isRetryable: true, isOutage: isOutage)
    }
}

/// When the first bytes of an answer came.
private final class FirstWord: Sendable {
    private let start = ContinuousClock.now
    private let at = Mutex<ContinuousClock.Instant?>(nil)

    func note() { at.withLock { $0 = $0 ?? .now } }

    var after: Duration? { at.withLock { $0 }.map { $0 - start } }
}

extension Duration {
    fileprivate var timeAmount: TimeAmount {
        let (seconds, attoseconds) = components
        return .nanoseconds(seconds * 1_000_000_000 + attoseconds / 1_000_000_000)
    }
}
