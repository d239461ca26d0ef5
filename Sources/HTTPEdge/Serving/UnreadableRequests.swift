internal import Contracts
internal import HTTPTypes
internal import Hummingbird
internal import NIOCore
internal import NIOHTTP1
internal import NIOHTTPTypes

/// Answers what the HTTP parser cannot read, such as a made-up method, with a problem document like every other
/// refusal, and closes the connection: where the next request would begin, nobody knows.
///
/// An error inside a request that is already being answered goes on to whoever answers it.
final class UnreadableRequests: ChannelDuplexHandler, RemovableChannelHandler {
    typealias InboundIn = HTTPRequestPart
    typealias InboundOut = HTTPRequestPart
    typealias OutboundIn = HTTPResponsePart
    typealias OutboundOut = HTTPResponsePart

    /// Requests whose head was read and whose answer is not complete.
    private var owed = 0

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        if case .head = unwrapInboundIn(data) { owed += 1 }
        context.fireChannelRead(data)
    }

    func write(context: ChannelHandlerContext, data: NIOAny, promise: EventLoopPromise<Void>?) {
        if case .end = unwrapOutboundIn(data) { owed -= 1 }
        context.write(data, promise: promise)
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        guard let error = error as? HTTPParserError, owed == 0 else { return context.fireErrorCaught(error) }
        let problem = Self.problem(for: error)
        let body = ByteBuffer(bytes: problem.json.bytes)
        let headers: HTTPFields = [
            .contentType: Problem.contentType, .contentLength: String(body.readableBytes), .connection: "close",
            .cacheControl: "no-store",
        ]
        let head = HTTPResponse(status: problem.code.status, headerFields: headers)
        context.write(wrapOutboundOut(.head(head)), promise: nil)
        context.write(wrapOutboundOut(.body(body)), promise: nil)
        let bound = NIOLoopBound(context, eventLoop: context.eventLoop)
        context.writeAndFlush(wrapOutboundOut(.end(nil))).whenComplete { _ in bound.value.close(promise: nil) }
    }

    private static func problem(for error: HTTPParserError) -> Problem {
        switch error {
        case .headerOverflow: Problem(.headersTooLarge, "The headers are larger than this API reads.")
        case .invalidMethod: Problem(.malformedRequest, "HTTP has no such method; see /openapi.json.")
        default: Problem(.malformedRequest, "The request's first line or its headers cannot be read.")
        }
    }
}
