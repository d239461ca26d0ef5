internal import AsyncHTTPClient
internal import Contracts
internal import FoundationEssentials
internal import NIOCore
internal import NIOHTTP1
internal import OrchestratorCore
internal import Storage

/// Makes one attempt: resolves, checks the addresses, posts, and reads the beginning of the answer.
struct WebhookSender: Sendable {
    /// What is read of an answer, and what is kept of that.
    static let answerBytesMax = 16_384
    static let keptCharactersMax = 1024

    let resolver: HostResolver
    let clients: PinnedClients
    let addresses: AddressRules
    /// From the connection to the end of the answer.
    let timeout: Duration

    struct Reply: Sendable {
        let outcome: DeliveryOutcome
        let response: String?

        init(_ outcome: DeliveryOutcome, response: String? = nil) {
            self.outcome = outcome
            self.response = response
        }
    }

    /// - Parameters:
    ///   - tenant: whose receiver it is.
    ///   - attempt: a host with several addresses is tried at another each time.
    /// - Throws: `CancellationError` only.
    func post(
        _ body: [UInt8], to url: WebhookURL, for tenant: TenantID, headers: [(name: String, value: String)],
        attempt: Int
    ) async throws -> Reply {
        let answer = await resolver.addresses(of: url.host, for: tenant)
        try Task.checkCancellation()
        guard case .addresses(let found) = answer else { return Reply(.resolverBusy) }
        guard !found.isEmpty else { return Reply(.unreachable(.unresolved)) }
        // A host that also points to the inside is refused whole.
        guard found.allSatisfy({ addresses.allows($0, host: url.host) }) else { return Reply(.forbiddenAddress) }
        let key = PinnedClients.Key(host: url.host, address: found[max(0, attempt - 1) % found.count])
        var request = HTTPClientRequest(url: url.description)
        request.method = .POST
        request.headers.add(name: "content-type", value: "application/json")
        request.headers.add(name: "user-agent", value: "golden-webhooks/1")
        for (name, value) in headers { request.headers.add(name: name, value: value) }
        request.body = .bytes(ByteBuffer(bytes: body))
        do {
            return try await clients.with(key) { [request] in try await exchange(request, on: $0) }
        } catch {
            try Task.checkCancellation()
            return Reply(.unreachable(Self.reason(error)))
        }
    }

    private func exchange(_ request: HTTPClientRequest, on client: HTTPClient) async throws -> Reply {
        let end = ContinuousClock.now + timeout
        let response = try await client.execute(
            request, deadline: .now() + .milliseconds(Int64(timeout / .milliseconds(1))))
        let retryAfter = response.headers.first(name: "retry-after").flatMap { RetryAfter.seconds($0, now: Date()) }
        let text = await Self.beginning(of: response.body, within: end - .now)
        return Reply(
            .answered(status: Int(response.status.code), retryAfterSeconds: retryAfter), response: text
        )
    }

    /// The status has decided already, so that an answer that breaks off or never ends is only shorter.
    private static func beginning(of body: HTTPClientResponse.Body, within limit: Duration) async -> String? {
        let (texts, text) = AsyncStream<String>.makeStream(bufferingPolicy: .bufferingOldest(1))
        return await withTaskGroup(of: String?.self) { group in
            group.addTask {
                var bytes: [UInt8] = []
                do {
                    for try await chunk in body {
                        bytes += chunk.readableBytesView.prefix(answerBytesMax - bytes.count)
                        if bytes.count >= answerBytesMax { break }
                    }
                } catch {
                    text.finish()
                }
                text.yield(String(decoding: bytes, as: UTF8.self))
                text.finish()
                return nil
            }
            let beginning = await firstOf(texts, within: max(.zero, limit))
            group.cancelAll()
            return beginning.flatMap(printable)
        }
    }

    /// What the database and a terminal can hold of it.
    private static func printable(_ text: String) -> String? {
        let kept = text.unicodeScalars.prefix(keptCharactersMax).filter { $0 != "\0" }
        return kept.isEmpty ? nil : String(String.UnicodeScalarView(kept))
    }

    private static func reason(_ error: any Error) -> DeliveryOutcome.Unreachable {
        if let error = error as? HTTPClientError {
            switch error {
            case .connectTimeout: return .notConnected
            case .deadlineExceeded, .readTimeout, .writeTimeout, .cancelled: return .timeout
            case .tlsHandshakeTimeout: return .tlsFailed
            default: return .brokenOff
            }
        }
        let type = String(reflecting: type(of: error))
        if type.hasPrefix("NIOSSL") { return .tlsFailed }
        return type.contains("Connection") || error is IOError ? .notConnected : .brokenOff
    }
}

/// The value of a Retry-After header (RFC 9110, 10.2.3).
enum RetryAfter {
    static func seconds(_ text: String, now: Date) -> Int? {
        if let seconds = Int(text) { return seconds >= 0 ? seconds : nil }
        let parts = text.split(separator: " ")
        guard parts.count == 6, parts[5] == "GMT", let day = Int(parts[1]), let year = Int(parts[3]),
            let month = months.firstIndex(of: String(parts[2])), (1...31).contains(day), (1970...9999).contains(year)
        else { return nil }
        let clock = parts[4].split(separator: ":").compactMap { Int($0) }
        guard clock.count == 3, clock.allSatisfy({ (0..<61).contains($0) }) else { return nil }
        let text = "\(year)-\(two(month + 1))-\(two(day))T\(two(clock[0])):\(two(clock[1])):\(two(clock[2]))Z"
        guard let date = Timestamp.date(text) else { return nil }
        return max(0, Int(date.timeIntervalSince(now).rounded(.up)))
    }

    private static let months = [
        "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
    ]

    private static func two(_ number: Int) -> String { number < 10 ? "0\(number)" : "\(number)" }
}
