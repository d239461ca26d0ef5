internal import NIOCore
internal import NIOPosix
internal import NIOSSL

/// Looks at the certificate that a server shows, whoever signed it: how long it holds is asked, not whom it convinces.
struct CertificateProbe {
    /// What is said before TLS begins.
    enum Opening: Sendable {
        case none
        /// The client asks, and the server agrees with one byte.
        case postgres
        /// The server's INFO line comes first.
        case nats
    }

    private static let patience: TimeAmount = .seconds(5)

    /// `host:port`
    let place: String
    let opening: Opening

    /// - Returns: the Unix time at which it ends.
    /// - Throws: `unreachable` when no certificate was shown.
    func endsSeconds() async throws(GateError) -> Int {
        guard let colon = place.lastIndex(of: ":"), let port = Int(place[place.index(after: colon)...]) else {
            throw GateError(.invalid, "\(place) is no host:port.")
        }
        let host = String(place[..<colon])
        let group = MultiThreadedEventLoopGroup.singleton
        let promise = group.any().makePromise(of: Int.self)
        do {
            let context = try NIOSSLContext(configuration: Self.configuration)
            let opening = opening
            let channel = try await ClientBootstrap(group: group).connectTimeout(Self.patience)
                .channelInitializer { channel in
                    channel.eventLoop.makeCompletedFuture {
                        try channel.pipeline.syncOperations.addHandler(
                            CertificateHandler(opening, context: context, host: host, promise: promise))
                    }
                }.connect(host: host, port: port).get()
            channel.eventLoop.scheduleTask(in: Self.patience) {
                promise.fail(GateError(.unreachable, "no certificate within 5 s"))
            }
            let ends = try await promise.futureResult.get()
            channel.close(promise: nil)
            return ends
        } catch {
            promise.fail(error)
            throw GateError(.unreachable, "\(place) shows no certificate.", underlying: error)
        }
    }

    private static var configuration: TLSConfiguration {
        var configuration = TLSConfiguration.makeClientConfiguration()
        configuration.certificateVerification = .none
        return configuration
    }
}

/// Gets as far as the end of the handshake, and tells what the server showed.
private final class CertificateHandler: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer
    typealias OutboundOut = ByteBuffer

    /// Postgres' SSLRequest: its length and its code.
    private static let request: [UInt8] = [0, 0, 0, 8, 4, 210, 22, 47]

    private let opening: CertificateProbe.Opening
    private let context: NIOSSLContext
    private let host: String
    private let promise: EventLoopPromise<Int>
    private var isEncrypting = false

    init(
        _ opening: CertificateProbe.Opening, context: NIOSSLContext, host: String, promise: EventLoopPromise<Int>
    ) {
        self.opening = opening
        self.context = context
        self.host = host
        self.promise = promise
    }

    func channelActive(context: ChannelHandlerContext) {
        switch opening {
        case .none: encrypt(context)
        case .postgres: context.writeAndFlush(wrapOutboundOut(ByteBuffer(bytes: Self.request)), promise: nil)
        case .nats: break
        }
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        guard !isEncrypting else { return }
        let bytes = unwrapInboundIn(data)
        if opening == .postgres, bytes.readableBytesView.first != UInt8(ascii: "S") {
            return fail(context, "it does not speak TLS")
        }
        encrypt(context)
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        promise.fail(error)
        context.close(promise: nil)
    }

    func channelInactive(context: ChannelHandlerContext) {
        promise.fail(GateError(.unreachable, "it closed the connection"))
    }

    /// What is written waits for the handshake, so that its end is the handshake's.
    private func encrypt(_ context: ChannelHandlerContext) {
        isEncrypting = true
        let pipeline = context.pipeline.syncOperations
        do {
            let name = host.contains { $0.isLetter } && !host.contains(":") ? host : nil
            let tls = try NIOSSLClientHandler(context: self.context, serverHostname: name)
            try pipeline.addHandler(tls, position: .before(self))
        } catch {
            return fail(context, "\(error)")
        }
        let promise = promise
        let isDone = context.eventLoop.makePromise(of: Void.self)
        isDone.futureResult.assumeIsolated().whenComplete { outcome in
            do {
                try outcome.get()
                guard let certificate = try pipeline.nioSSL_peerCertificate() else {
                    throw GateError(.unreachable, "it shows no certificate")
                }
                promise.succeed(Int(certificate.notValidAfter))
            } catch {
                promise.fail(error)
            }
        }
        context.writeAndFlush(wrapOutboundOut(ByteBuffer(string: "\r\n")), promise: isDone)
    }

    private func fail(_ context: ChannelHandlerContext, _ why: String) {
        promise.fail(GateError(.unreachable, why))
        context.close(promise: nil)
    }
}
