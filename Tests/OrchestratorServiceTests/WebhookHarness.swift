import Contracts
import Crypto
import Foundation
import TestSupport
import Testing

/// What tests of webhooks ask of a stack.
extension OrchestratorUnderTest {
    /// Loopback allowed, the shortest waits.
    static let webhookEnvironment = [
        "GOLDEN_WEBHOOK_ALLOW": "127.0.0.1", "GOLDEN_WEBHOOK_FIRST_WAIT_SECONDS": "1",
        "GOLDEN_WEBHOOK_ATTEMPTS": "4", "GOLDEN_WEBHOOK_TIMEOUT_SECONDS": "2",
    ]

    struct Subscribed: Sendable {
        let id: String
        let secret: String
    }

    /// Subscribes `url`; `events` as a JSON array.
    func subscribe(
        _ url: String, events: String = #"["task.created"]"#, tenant: String = "acme"
    ) async throws -> Subscribed {
        let answer = try await post(
            "/webhooks", #"{"url":"\#(url)","events":\#(events)}"#, token: token(tenant: tenant))
        guard answer.status == 201, let id = answer["id"], let secret = answer["secret"] else {
            throw Unexpected(answer.body)
        }
        return Subscribed(id: id, secret: secret)
    }

    /// The tenant's deliveries, newest first.
    func deliveries(_ query: String = "", tenant: String = "acme") async throws -> [JSON] {
        let answer = try await get("/webhooks/deliveries?limit=200\(query)", token: token(tenant: tenant))
        var reader = try JSONReader(answer.json)
        return try reader.optionalArray("deliveries") ?? []
    }

    /// Waits until all deliveries that `query` finds are in `state`, of which there must be `count`.
    func waitForDeliveries(
        _ count: Int, _ state: String, _ query: String = "", tenant: String = "acme"
    ) async throws {
        try await eventually {
            try await deliveries(query, tenant: tenant).filter { $0["state"]?.string == state }.count == count
        }
    }
}

extension JSON {
    subscript(_ field: String) -> JSON? { fields?.first { $0.name == field }?.value }
}

extension WebhookReceiver.Received {
    /// Whether one of its signatures is of `secret`: as a receiver checks it.
    func isSigned(with secret: String) -> Bool {
        guard let key = Data(base64Encoded: String(secret.dropFirst(6))), let timestamp = headers["webhook-timestamp"]
        else { return false }
        var code = HMAC<SHA256>(key: SymmetricKey(data: key))
        code.update(data: Data("\(id).\(timestamp).\(body)".utf8))
        let wanted = "v1," + Data(code.finalize()).base64EncodedString()
        return (headers["webhook-signature"] ?? "").split(separator: " ").contains { $0 == wanted }
    }
}

/// A Python program of a test: killed with it.
struct PythonProgram: Sendable {
    private let process: ServerProcess
    private let log: URL

    /// Waits for its first line.
    init(_ arguments: [String], environment: [String: String] = [:]) async throws {
        let log = try temporaryFolder("python").appending(path: "log")
        let process = ServerProcess("/usr/bin/python3", arguments, environment: environment, logFile: log)
        try await blocking { try process.start { !Self.lines(of: log).isEmpty } }
        self.process = process
        self.log = log
    }

    /// What it has written so far.
    var lines: [String] { Self.lines(of: log) }

    private static func lines(of log: URL) -> [String] {
        guard let data = FileManager.default.contents(atPath: log.path) else { return [] }
        return String(decoding: data, as: UTF8.self).split(separator: "\n").map(String.init)
    }
}
