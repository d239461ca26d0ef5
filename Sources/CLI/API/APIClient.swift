internal import AsyncHTTPClient
internal import Contracts
internal import NIOCore
internal import NIOHTTP1

/// Speaks HTTP with the orchestrator.
struct APIClient: Sendable {
    static let answerBytesMax = 16 << 20
    static let requestTimeout: TimeAmount = .seconds(30)
    /// Three heartbeats of an event stream; after that it counts as dead.
    static let silenceMax: TimeAmount = .seconds(45)
    static let connectTimeout: TimeAmount = .seconds(5)

    struct Answer: Sendable {
        let status: Int
        let json: JSON
    }

    let endpoint: Endpoint
    private let http: HTTPClient

    /// Opens the connections, runs `body`, closes them.
    static func with<Result>(_ endpoint: Endpoint, _ body: (APIClient) async throws -> Result) async throws -> Result {
        var configuration = HTTPClient.Configuration()
        configuration.timeout = .init(connect: connectTimeout, read: silenceMax)
        configuration.redirectConfiguration = .disallow
        return try await HTTPClient.withHTTPClient(configuration: configuration) { http in
            try await body(APIClient(endpoint: endpoint, http: http))
        }
    }

    /// - Parameter path: with its query, escaped.
    /// - Throws: `CLIError`: `unreachable` when no answer came, `refused` for a problem document.
    func get(_ path: String) async throws -> Answer {
        do {
            return try await exchange(.GET, path, body: nil, idempotencyKey: nil)
        } catch let error as CLIError where error.code == .unreachable {
            // The connection may have been one that was just being closed; asking twice changes nothing.
            return try await exchange(.GET, path, body: nil, idempotencyKey: nil)
        }
    }

    /// - Parameter isAsynchronous: wants an answer before the work is done.
    func post(
        _ path: String, _ body: JSON, idempotencyKey: String? = nil, isAsynchronous: Bool = false
    ) async throws -> Answer {
        try await exchange(
            .POST, path, body: body, idempotencyKey: idempotencyKey, prefer: isAsynchronous ? "respond-async" : nil)
    }

    /// - Parameter ifMatch: the version that is to be replaced; any when nil.
    func put(_ path: String, _ body: JSON, ifMatch: String? = nil) async throws -> Answer {
        try await exchange(.PUT, path, body: body, idempotencyKey: nil, ifMatch: ifMatch)
    }

    func delete(_ path: String) async throws -> Answer {
        try await exchange(.DELETE, path, body: nil, idempotencyKey: nil)
    }

    private func exchange(
        _ method: HTTPMethod, _ path: String, body: JSON?, idempotencyKey: String?, ifMatch: String? = nil,
        prefer: String? = nil
    ) async throws -> Answer {
        var request = try await request(method, path, accept: "application/json, application/problem+json")
        if let body {
            request.headers.add(name: "content-type", value: "application/json")
            request.body = .bytes(Array(body.bytes))
        }
        if let ifMatch { request.headers.add(name: "if-match", value: ifMatch) }
        if let prefer { request.headers.add(name: "prefer", value: prefer) }
        if let idempotencyKey { request.headers.add(name: "idempotency-key", value: idempotencyKey) }
        let response: HTTPClientResponse
        let bytes: [UInt8]
        do {
            response = try await http.execute(request, timeout: Self.requestTimeout)
            bytes = Array(try await response.body.collect(upTo: Self.answerBytesMax).readableBytesView)
        } catch let error as CancellationError {
            throw error
        } catch {
            throw unreachable(error)
        }
        let status = Int(response.status.code)
        guard (200..<300).contains(status) else {
            throw problem(status, bytes, response.headers).error(
                wrote: method != .GET, idempotencyKey: idempotencyKey)
        }
        do {
            return Answer(status: status, json: try JSON(parsing: bytes))
        } catch {
            throw CLIError(
                .badAnswer, "\(endpoint.url) answered with something that is not JSON.",
                next: "Check that --url is a Golden API.", underlying: error
            )
        }
    }

    /// Reads one event stream until the server ends it or `handle` answers false.
    /// - Parameter opened: called once the API has granted the stream, however long it is quiet afterwards.
    /// - Returns: false when there is none: nothing will ever come after that number.
    func events(
        at path: String, after: Int, opened: () -> Void,
        handle: (ServerSentEventParser.Event) async throws -> Bool
    ) async throws -> Bool {
        var request = try await request(.GET, path, accept: "text/event-stream")
        if after > 0 { request.headers.add(name: "last-event-id", value: "\(after)") }
        let response: HTTPClientResponse
        do {
            response = try await http.execute(request, timeout: Self.requestTimeout)
        } catch let error as CancellationError {
            throw error
        } catch {
            throw unreachable(error)
        }
        guard response.status == .ok else {
            let bytes = Array(try await response.body.collect(upTo: Self.answerBytesMax).readableBytesView)
            if response.status == .noContent { return false }
            throw problem(Int(response.status.code), bytes, response.headers).error(wrote: false)
        }
        opened()
        var parser = ServerSentEventParser()
        do {
            for try await chunk in response.body {
                for event in try parser.feed(chunk.readableBytesView) {
                    guard try await handle(event) else { return true }
                }
            }
            return true
        } catch let error as ServerSentEventParser.TooLong {
            throw CLIError(.badAnswer, error.description, underlying: error)
        } catch let error as CLIError {
            throw error
        } catch let error as CancellationError {
            throw error
        } catch {
            throw unreachable(error)
        }
    }

    private func request(_ method: HTTPMethod, _ path: String, accept: String) async throws -> HTTPClientRequest {
        var request = HTTPClientRequest(url: endpoint.url + path)
        request.method = method
        request.headers.add(name: "accept", value: accept)
        request.headers.add(name: "authorization", value: "Bearer \(try await endpoint.token())")
        request.headers.add(name: "user-agent", value: "golden")
        return request
    }

    private func problem(_ status: Int, _ bytes: [UInt8], _ headers: HTTPHeaders) -> Problem {
        Problem(status: status, body: bytes, retryAfterSeconds: headers.first(name: "retry-after").flatMap { Int($0) })
    }

    private func unreachable(_ error: any Error) -> CLIError {
        var next = "Check the address (--url or GOLDEN_URL), and that the API runs there."
        if let option = endpoint.stack?.option {
            next = "golden status\(option) shows whether the stack runs; golden up --detach\(option) starts it."
        }
        return CLIError(.unreachable, "\(endpoint.url) cannot be reached.", next: next, underlying: error)
    }
}
