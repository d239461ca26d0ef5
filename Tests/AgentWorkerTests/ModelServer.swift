import Contracts
import Foundation
import NIOCore
import NIOPosix
import Synchronization

/// An endpoint of chat completions as far as its clients can tell: real HTTP over a real socket, whose every answer is
/// written byte by byte as the test says.
struct ModelServer: Sendable {
    /// One request as it came.
    struct Request: Sendable {
        let head: String
        let body: [UInt8]
        /// From 1, over all connections.
        let number: Int

        var json: JSON { get throws { try JSON(parsing: body) } }

        func header(_ name: String) -> String? {
            for line in head.split(separator: "\r\n").dropFirst() {
                let halves = line.split(separator: ":", maxSplits: 1)
                if halves.count == 2, halves[0].lowercased() == name {
                    return halves[1].trimmingCharacters(in: .whitespaces)
                }
            }
            return nil
        }
    }

    /// What the answer is written to; closed when the script returns.
    struct Reply: Sendable {
        fileprivate let outbound: NIOAsyncChannelOutboundWriter<ByteBuffer>
        fileprivate let gone: Latch

        func write(_ bytes: some Sequence<UInt8>) async throws { try await outbound.write(ByteBuffer(bytes: bytes)) }
        func write(_ text: String) async throws { try await write(text.utf8) }

        func head(_ status: String = "200 OK", _ headers: String = "Content-Type: text/event-stream") async throws {
            try await write("HTTP/1.1 \(status)\r\n\(headers)\r\nConnection: close\r\n\r\n")
        }

        /// One event of the stream.
        func event(_ data: String) async throws { try await write("data: \(data)\n\n") }

        func piece(_ text: String) async throws { try await event(ModelServer.chunk(text)) }

        /// The usual end: why it stopped, what it took, and the mark.
        func end(_ finish: String = "stop", tokens: Int? = 42) async throws {
            try await event("{\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"\(finish)\"}]}")
            if let tokens { try await event("{\"choices\":[],\"usage\":{\"total_tokens\":\(tokens)}}") }
            try await event("[DONE]")
        }

        /// A whole answer in the usual form.
        func answer(_ text: String, finish: String = "stop", tokens: Int? = 42) async throws {
            try await head()
            try await piece(text)
            try await end(finish, tokens: tokens)
        }

        /// Another status, with a body as JSON.
        func refuse(_ status: String, _ headers: String = "", _ body: String = "{\"error\":{\"message\":\"no\"}}")
            async throws
        {
            let lines = ["Content-Type: application/json", "Content-Length: \(body.utf8.count)"]
            let all = (lines + (headers.isEmpty ? [] : [headers])).joined(separator: "\r\n")
            try await head(status, all)
            try await write(body)
        }

        /// Waits until the client has hung up.
        func untilGone() async { await gone.wait() }
    }

    typealias Script = @Sendable (Request, Reply) async throws -> Void

    let port: Int
    private let log: Log

    var url: String { "http://127.0.0.1:\(port)/v1" }
    /// All requests so far.
    var requests: [Request] { log.requests.withLock { $0 } }

    private final class Log: Sendable {
        let requests = Mutex<[Request]>([])
    }

    /// Answers every request with `script` while `body` runs.
    static func run<Value: Sendable>(
        _ script: @escaping Script, _ body: @Sendable (ModelServer) async throws -> Value
    ) async throws -> Value {
        let listener = try await ServerBootstrap(group: MultiThreadedEventLoopGroup.singleton)
            .serverChannelOption(.socketOption(.so_reuseaddr), value: 1)
            .bind(host: "127.0.0.1", port: 0) { channel in
                channel.eventLoop.makeCompletedFuture {
                    try NIOAsyncChannel<ByteBuffer, ByteBuffer>(wrappingChannelSynchronously: channel)
                }
            }
        let log = Log()
        let server = ModelServer(port: listener.channel.localAddress?.port ?? 0, log: log)
        return try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask {
                try await listener.executeThenClose { connections in
                    await withDiscardingTaskGroup { group in
                        do {
                            for try await connection in connections {
                                group.addTask { await serve(connection, script, log) }
                            }
                        } catch {
                            // The test is over.
                        }
                        group.cancelAll()
                    }
                }
            }
            do {
                let value = try await body(server)
                group.cancelAll()
                return value
            } catch {
                group.cancelAll()
                throw error
            }
        }
    }

    /// One request, one answer, and the end of the connection.
    private static func serve(
        _ connection: NIOAsyncChannel<ByteBuffer, ByteBuffer>, _ script: @escaping Script, _ log: Log
    ) async {
        do {
            try await connection.executeThenClose { inbound, outbound in
                var bytes: [UInt8] = []
                var iterator = inbound.makeAsyncIterator()
                while true {
                    if let request = parse(bytes, number: log.requests.withLock { $0.count } + 1) {
                        log.requests.withLock { $0.append(request) }
                        let gone = Latch()
                        // The client says nothing more; the end of its side is its hanging up.
                        try await withThrowingTaskGroup(of: Void.self) { group in
                            group.addTask { try await script(request, Reply(outbound: outbound, gone: gone)) }
                            group.addTask {
                                await connection.channel.closeFuture.hang(gone)
                            }
                            try await group.next()
                            group.cancelAll()
                        }
                        return
                    }
                    guard let buffer = try await iterator.next() else { return }
                    bytes += buffer.readableBytesView
                }
            }
        } catch {
            // The client hung up, as some tests want.
        }
    }

    private static func parse(_ bytes: [UInt8], number: Int) -> Request? {
        let text = String(decoding: bytes, as: UTF8.self)
        guard let end = text.range(of: "\r\n\r\n") else { return nil }
        let head = String(text[..<end.lowerBound])
        let start = head.utf8.count + 4
        let request = Request(head: head, body: Array(bytes[start...]), number: number)
        guard let length = request.header("content-length").flatMap({ Int($0) }) else { return request }
        return request.body.count >= length ? request : nil
    }

    static func chunk(_ text: String) -> String {
        let delta = JSONWriter.object { $0.field("content", text) }.text
        return
            "{\"id\":\"c1\",\"object\":\"chat.completion.chunk\",\"model\":\"model-1\",\"choices\":[{\"index\":0,\"delta\":\(delta),\"finish_reason\":null}]}"
    }
}

/// Opened once; whoever waits goes on then, or when its task is cancelled.
final class Latch: Sendable {
    private let stream: AsyncStream<Void>
    private let input: AsyncStream<Void>.Continuation

    init() { (stream, input) = AsyncStream.makeStream() }

    func open() { input.finish() }

    func wait() async { for await _ in stream {} }
}

extension EventLoopFuture<Void> {
    fileprivate func hang(_ latch: Latch) async {
        whenComplete { _ in latch.open() }
        await latch.wait()
    }
}
