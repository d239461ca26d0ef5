internal import AsyncHTTPClient
internal import Dispatch
internal import NIOCore
internal import NIOHTTP1
internal import Subprocess

extension Probe {
    static let exchangeMilliseconds = 500
    static let requestSeconds: Int64 = 2

    /// True when the process does its work now.
    func check() async -> Bool {
        switch self {
        case .exchange(let port, let request, let answer): await Self.exchange(port, request, answer)
        case .conversation(let port, let request, let answer): await Self.conversation(port, request, answer)
        case .accepts(let port): Ports.accepts(port)
        case .program(let path, let arguments): await Self.program(path, arguments)
        case .http(let url): await Self.get(url)
        case .announced(let file, let pid): readSmallFile(file) == "\(pid)\n"
        case .alive: true
        }
    }

    /// On a thread of its own kind, because it blocks for up to `exchangeMilliseconds`.
    private static func exchange(_ port: Int, _ request: String, _ answer: String) async -> Bool {
        await withCheckedContinuation { continuation in
            DispatchQueue.global().async {
                let got = Ports.exchange(port, request: request, milliseconds: exchangeMilliseconds)
                continuation.resume(returning: got?.hasPrefix(answer) == true)
            }
        }
    }

    private static func conversation(_ port: Int, _ request: String, _ answer: String) async -> Bool {
        await withCheckedContinuation { continuation in
            DispatchQueue.global().async {
                continuation.resume(returning: Ports.converse(port, request: request, until: answer))
            }
        }
    }

    private static func program(_ path: String, _ arguments: [String]) async -> Bool {
        do {
            let result = try await run(
                .name("sh"), arguments: Arguments(["-c", "exec \"$0\" \"$@\"", path] + arguments), output: .discarded
            )
            return result.terminationStatus.isSuccess
        } catch {
            return false
        }
    }

    private static func get(_ url: String) async -> Bool {
        do { return try await answer(url).isGood } catch { return false }
    }

    /// What a URL answers, however it does.
    static func body(of url: String) async throws -> [UInt8] { try await answer(url).body }

    private static func answer(_ url: String) async throws -> (isGood: Bool, body: [UInt8]) {
        let response = try await HTTPClient.shared.execute(
            HTTPClientRequest(url: url), timeout: .seconds(requestSeconds)
        )
        let body = try await response.body.collect(upTo: 1 << 20)
        return (response.status == .ok, Array(body.readableBytesView))
    }
}
