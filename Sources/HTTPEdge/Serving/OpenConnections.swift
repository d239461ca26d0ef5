internal import NIOCore
internal import Synchronization

/// The connections of one server, so that those on which nothing is asked can be closed when it ends.
final class OpenConnections: Sendable {
    private let open = Mutex<[ObjectIdentifier: any Channel]>([:])

    func add(_ connection: any Channel) {
        let id = ObjectIdentifier(connection)
        open.withLock { $0[id] = connection }
        connection.closeFuture.whenComplete { _ in self.open.withLock { _ = $0.removeValue(forKey: id) } }
    }

    /// Each is closed now, or when the request is answered that it carries.
    func end() {
        for connection in open.withLock({ Array($0.values) }) {
            connection.pipeline.fireUserInboundEventTriggered(ChannelShouldQuiesceEvent())
        }
    }
}

/// At the listening end of a server's socket: lets connections in until told not to. Those that come later stay in the
/// kernel's queue, for whoever else listens on the same socket.
final class Intake: ChannelOutboundHandler, RemovableChannelHandler {
    typealias OutboundIn = Never

    private var isOpen = true

    func read(context: ChannelHandlerContext) {
        if isOpen { context.read() }
    }

    /// On the channel's own event loop.
    func close() { isOpen = false }
}
