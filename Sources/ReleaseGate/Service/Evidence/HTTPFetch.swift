internal import AsyncHTTPClient
internal import NIOCore
internal import NIOHTTP1

/// One HTTP exchange with a bounded answer and a deadline, over connections that the process shares.
struct HTTPFetch: Sendable {
    static let answerBytesMax = 64 << 20
    static let timeout: TimeAmount = .seconds(30)

    struct Answer: Sendable {
        let status: Int
        let bytes: [UInt8]

        var text: String { String(decoding: bytes, as: UTF8.self) }
    }

    /// Headers of every request, such as an authorization: never logged.
    let headers: [(name: String, value: String)]
    /// How large an answer may be.
    var answerBytesMax = Self.answerBytesMax

    init(headers: [(name: String, value: String)] = []) { self.headers = headers }

    /// Sends a GET, or a POST when there is a body.
    ///
    /// - Throws: `unreachable` when no complete answer came, `badAnswer` when it is larger than anybody may send.
    func callAsFunction(
        _ url: String, body: [UInt8]? = nil, contentType: String = "application/json",
        timeout: TimeAmount = timeout
    ) async throws(GateError) -> Answer {
        var request = HTTPClientRequest(url: url)
        request.headers.add(name: "user-agent", value: "release-gate")
        for (name, value) in headers { request.headers.add(name: name, value: value) }
        if let body {
            request.method = .POST
            request.headers.add(name: "content-type", value: contentType)
            request.body = .bytes(body)
        }
        do {
            let response = try await HTTPClient.shared.execute(request, timeout: timeout)
            let bytes = try await response.body.collect(upTo: answerBytesMax)
            return Answer(status: Int(response.status.code), bytes: Array(bytes.readableBytesView))
        } catch let error as NIOTooManyBytesError {
            throw GateError(
                .badAnswer, "\(Self.place(url)): the answer is too large, more than \(answerBytesMax >> 20) MiB.",
                underlying: error)
        } catch {
            throw GateError(.unreachable, "\(Self.place(url)) gave no complete answer.", underlying: error)
        }
    }

    /// Whether an answer was larger than anybody may send: less may be asked for.
    static func isTooLarge(_ error: GateError) -> Bool { error.underlying is NIOTooManyBytesError }

    /// The address without its query and without a password.
    static func place(_ url: String) -> String {
        let bare = url.prefix { $0 != "?" }
        guard let at = bare.lastIndex(of: "@"), let scheme = bare.firstRange(of: "://"), scheme.upperBound < at else {
            return String(bare)
        }
        return String(bare[..<scheme.upperBound]) + bare[bare.index(after: at)...]
    }

    /// Percent-encodes a value of a query or form.
    static func encode(_ text: String) -> String {
        var out = ""
        for byte in text.utf8 {
            switch byte {
            case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
                UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "-"), UInt8(ascii: "_"), UInt8(ascii: "."):
                out.unicodeScalars.append(Unicode.Scalar(byte))
            default:
                let digits = String(byte, radix: 16, uppercase: true)
                out += "%" + (digits.count == 1 ? "0" : "") + digits
            }
        }
        return out
    }
}
