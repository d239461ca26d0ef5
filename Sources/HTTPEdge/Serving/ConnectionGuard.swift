internal import Hummingbird
internal import NIOCore
internal import NIOHTTPTypes

/// Closes connections that are to end: those whose client is too slow (it does not finish sending its request in time,
/// or does not read its answer), and those whose answer said `Connection: close`, as every answer does while the server
/// drains. Costs no timer for a request that arrives in one piece.
final class ConnectionGuard: ChannelDuplexHandler, RemovableChannelHandler {
    typealias InboundIn = HTTPRequestPart
    typealias InboundOut = HTTPRequestPart
    typealias OutboundIn = HTTPResponsePart
    typealias OutboundOut = HTTPResponsePart

    private let requestTimeout: TimeAmount
    private let writeTimeout: TimeAmount
    private let drain: Drain
    private var isReading = false
    /// Requests that were read, in part at least, and not answered to the end.
    private var owed = 0
    /// The answer that is being written said `Connection: close`.
    private var isLast = false
    /// The server ends: nothing is read any more once all is answered.
    private var isEnding = false
    private var readDeadline: Scheduled<Void>?
    private var writeDeadline: Scheduled<Void>?

    init(requestTimeout: TimeAmount, writeTimeout: TimeAmount, drain: Drain) {
        self.requestTimeout = requestTimeout
        self.writeTimeout = writeTimeout
        self.drain = drain
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        switch unwrapInboundIn(data) {
        case .head:
            isReading = true
            owed += 1
        case .body: break
        case .end:
            isReading = false
            readDeadline?.cancel()
            readDeadline = nil
            if isLast || isEnding, owed == 0 { return context.close(promise: nil) }
        }
        context.fireChannelRead(data)
    }

    func channelReadComplete(context: ChannelHandlerContext) {
        if isReading, readDeadline == nil { readDeadline = schedule(in: requestTimeout, context) }
        context.fireChannelReadComplete()
    }

    func write(context: ChannelHandlerContext, data: NIOAny, promise: EventLoopPromise<Void>?) {
        switch unwrapOutboundIn(data) {
        case .head(var head) where head.status.kind != .informational:
            if drain.hasBegun || isEnding, owed <= 1 { head.headerFields[.connection] = "close" }
            isLast = head.headerFields[.connection] == "close"
            context.write(wrapOutboundOut(.head(head)), promise: promise)
        case .head, .body: context.write(data, promise: promise)
        case .end:
            owed = max(0, owed - 1)
            guard isLast || (isEnding && owed == 0) else { return context.write(data, promise: promise) }
            let written = promise ?? context.eventLoop.makePromise(of: Void.self)
            let bound = NIOLoopBound(context, eventLoop: context.eventLoop)
            // A client that still sends its request reads the answer only when its sending is not cut off.
            let mode: CloseMode = isReading ? .output : .all
            written.futureResult.whenComplete { _ in bound.value.close(mode: mode, promise: nil) }
            context.write(data, promise: written)
        }
    }

    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        guard event is ChannelShouldQuiesceEvent else { return context.fireUserInboundEventTriggered(event) }
        isEnding = true
        if owed == 0 { context.close(promise: nil) }
    }

    func channelWritabilityChanged(context: ChannelHandlerContext) {
        if context.channel.isWritable {
            writeDeadline?.cancel()
            writeDeadline = nil
        } else if writeDeadline == nil {
            writeDeadline = schedule(in: writeTimeout, context)
        }
        context.fireChannelWritabilityChanged()
    }

    func handlerRemoved(context: ChannelHandlerContext) {
        readDeadline?.cancel()
        writeDeadline?.cancel()
    }

    private func schedule(in time: TimeAmount, _ context: ChannelHandlerContext) -> Scheduled<Void> {
        let bound = NIOLoopBound(context, eventLoop: context.eventLoop)
        return context.eventLoop.scheduleTask(in: time) { bound.value.close(promise: nil) }
    }
}
