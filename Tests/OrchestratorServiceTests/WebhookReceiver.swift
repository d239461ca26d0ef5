import Foundation
import NIOCore
import NIOHTTP1
import NIOPosix
import Synchronization

/// A receiver of webhooks on loopback: it records what it gets and answers as a test wants.
final class WebhookReceiver: Sendable {
    struct Received: Sendable {
        let path: String
        let headers: [String: String]
        let body: String
        /// How many came before it.
        let number: Int

        var id: String { headers["webhook-id"] ?? "" }
    }

    enum Answer: Sendable {
        case status(Int, headers: [(String, String)] = [], body: String = "")
        case after(Duration, status: Int)
        /// 200 once the gate is open.
        case held(Gate)
        /// That many mebibytes behind the head of a 200.
        case endless(mebibytes: Int)
        case hangUp
    }

    private struct State {
        var received: [Received] = []
        var answer: @Sendable (Received) -> Answer
        var underWay = 0
        var mostUnderWay = 0
    }

    private let state: Mutex<State>
    let port: Int

    var url: String { "http://127.0.0.1:\(port)/hook" }
    var received: [Received] { state.withLock { $0.received } }
    /// The most requests that were open at once.
    var mostUnderWay: Int { state.withLock { $0.mostUnderWay } }

    /// Starts one, runs `body`, and stops it.
    static func run<Result>(
        _ answer: @escaping @Sendable (Received) -> Answer = { _ in .status(204) },
        _ body: (WebhookReceiver) async throws -> Result
    ) async throws -> Result {
        let (receiver, server) = try await start(answer)
        do {
            let result = try await body(receiver)
            try await server.close()
            return result
        } catch {
            try await server.close()
            throw error
        }
    }

    private static func start(
        _ answer: @escaping @Sendable (Received) -> Answer
    ) async throws -> (WebhookReceiver, any Channel) {
        let holder = Holder()
        let server = try await ServerBootstrap(group: MultiThreadedEventLoopGroup.singleton)
            .serverChannelOption(.socketOption(.so_reuseaddr), value: 1)
            .childChannelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    try channel.pipeline.syncOperations.configureHTTPServerPipeline()
                    try channel.pipeline.syncOperations.addHandler(Handler(holder))
                }
            }
            .bind(host: "127.0.0.1", port: 0).get()
        let receiver = WebhookReceiver(port: server.localAddress?.port ?? 0, answer)
        holder.set(receiver)
        return (receiver, server)
    }

    private init(port: Int, _ answer: @escaping @Sendable (Received) -> Answer) {
        self.port = port
        state = Mutex(State(answer: answer))
    }

    /// From now on it answers so.
    func answer(_ answer: @escaping @Sendable (Received) -> Answer) { state.withLock { $0.answer = answer } }

    private func take(_ path: String, _ headers: [String: String], _ body: String) -> Answer {
        let (received, answer) = state.withLock { state in
            let received = Received(path: path, headers: headers, body: body, number: state.received.count)
            state.received.append(received)
            state.underWay += 1
            state.mostUnderWay = max(state.mostUnderWay, state.underWay)
            return (received, state.answer)
        }
        return answer(received)
    }

    private func end() { state.withLock { $0.underWay -= 1 } }

    private final class Holder: Sendable {
        private let receiver = Mutex<WebhookReceiver?>(nil)
        func set(_ value: WebhookReceiver) { receiver.withLock { $0 = value } }
        var value: WebhookReceiver? { receiver.withLock { $0 } }
    }

    private final class Handler: ChannelInboundHandler {
        typealias InboundIn = HTTPServerRequestPart
        typealias OutboundOut = HTTPServerResponsePart

        private let holder: Holder
        private var head: HTTPRequestHead?
        private var body = ByteBuffer()

        init(_ holder: Holder) { self.holder = holder }

        func channelRead(context: ChannelHandlerContext, data: NIOAny) {
            switch unwrapInboundIn(data) {
            case .head(let head):
                self.head = head
                body.clear()
            case .body(var part): body.writeBuffer(&part)
            case .end: finish(context)
            }
        }

        private func finish(_ context: ChannelHandlerContext) {
            guard let head, let receiver = holder.value else { return }
            let fields = head.headers.map { ($0.name.lowercased(), $0.value) }
            let answer = receiver.take(
                head.uri, Dictionary(fields) { first, _ in first }, String(buffer: body))
            switch answer {
            case .status(let status, let headers, let body):
                write(context, status, headers, [ByteBuffer(string: body)])
                receiver.end()
            case .after(let wait, let status):
                let bound = NIOLoopBound((self, context), eventLoop: context.eventLoop)
                context.eventLoop.scheduleTask(in: .nanoseconds(Int64(wait / .nanoseconds(1)))) {
                    let (handler, context) = bound.value
                    handler.write(context, status, [], [])
                    receiver.end()
                }
            case .held(let gate):
                let (loop, bound) = (context.eventLoop, NIOLoopBound((self, context), eventLoop: context.eventLoop))
                Task {
                    await gate.wait()
                    loop.execute {
                        let (handler, context) = bound.value
                        handler.write(context, 200, [], [])
                        receiver.end()
                    }
                }
            case .endless(let mebibytes):
                let part = ByteBuffer(repeating: UInt8(ascii: "x"), count: 1 << 20)
                write(context, 200, [], Array(repeating: part, count: mebibytes))
                receiver.end()
            case .hangUp:
                receiver.end()
                context.close(promise: nil)
            }
        }

        private func write(
            _ context: ChannelHandlerContext, _ status: Int, _ headers: [(String, String)], _ parts: [ByteBuffer]
        ) {
            var fields = HTTPHeaders(headers)
            let length = parts.reduce(0) { $0 + $1.readableBytes }
            if status != 204 { fields.add(name: "content-length", value: "\(length)") }
            let head = HTTPResponseHead(
                version: .http1_1, status: HTTPResponseStatus(statusCode: status), headers: fields)
            context.write(wrapOutboundOut(.head(head)), promise: nil)
            for part in parts { context.write(wrapOutboundOut(.body(.byteBuffer(part))), promise: nil) }
            context.writeAndFlush(wrapOutboundOut(.end(nil)), promise: nil)
        }
    }
}
