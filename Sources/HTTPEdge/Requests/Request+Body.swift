package import Contracts
internal import HTTPTypes
package import Hummingbird
internal import NIOCore

extension Request {
    /// The largest body accepted unless a route says otherwise.
    package static let bodyBytesDefault = 1 << 20

    /// Reads the whole body as one JSON value.
    /// - Throws: 413 beyond `limit` bytes, 503 while too many large bodies are being read, 415 unless it is
    ///   `application/json`, 400 when it is cut short or not JSON.
    package func readJSON(limit: Int = bodyBytesDefault) async throws -> JSON {
        try requireJSONType()
        let bytes = try await readBody(limit: limit)
        do throws(JSONError) {
            return try JSON(parsing: bytes)
        } catch {
            throw Problem(error)
        }
    }

    /// Reads a body that may be absent; nil then.
    package func readOptionalJSON(limit: Int = bodyBytesDefault) async throws -> JSON? {
        if headers[.contentType] != nil { return try await readJSON(limit: limit) }
        let bytes = try await readBody(limit: limit)
        if bytes.isEmpty { return nil }
        throw Self.notJSON
    }

    private func readBody(limit: Int) async throws -> [UInt8] {
        let announced = headers[.contentLength].flatMap { Int($0) }
        if let announced, announced > limit { throw Self.tooLarge(limit) }
        var collected: [UInt8] = []
        var hold = LargeBodies.Hold()
        if let announced { collected.reserveCapacity(min(announced, LargeBodies.freeBytes)) }
        do {
            for try await chunk in body {
                let size = collected.count + chunk.readableBytes
                guard size <= limit else { throw Self.tooLarge(limit) }
                guard hold.grow(to: size) else { throw Self.tooManyLarge }
                collected.append(contentsOf: chunk.readableBytesView)
            }
        } catch let problem as Problem {
            throw problem
        } catch {
            throw BrokenBody(underlying: error)
        }
        // A connection that closes early ends the stream like a complete body would.
        if let announced, collected.count < announced {
            throw Problem(.incompleteBody, "The body ended after \(collected.count) of \(announced) bytes.")
        }
        return collected
    }

    /// What a bare `curl -d '{…}'`, as runbooks have it, says of its JSON. Nothing but a token in a header gives
    /// access, so no foreign page can send such a form in a user's name.
    private static let unlabelledByCurl = "application/x-www-form-urlencoded"

    private func requireJSONType() throws(Problem) {
        let type = headers[.contentType] ?? ""
        if type == "application/json" || type == Self.unlabelledByCurl { return }
        let parts = type.split(separator: ";").map { $0.trimmingPrefix(while: { $0 == " " }).lowercased() }
        let name = parts.first.map { $0.split(separator: " ").first.map(String.init) ?? "" }
        let charsets = parts.dropFirst().filter { $0.hasPrefix("charset=") }.map { $0.dropFirst(8) }
        guard name == "application/json", charsets.allSatisfy({ $0 == "utf-8" || $0 == "\"utf-8\"" }) else {
            throw Self.notJSON
        }
    }

    private static var notJSON: Problem {
        Problem(.unsupportedMediaType, "Send the body as Content-Type: application/json, in UTF-8.")
    }

    /// The connection is closed after it, as after `tooLarge`.
    private static var tooManyLarge: Problem {
        Problem(
            .unavailable, "Too many large bodies are being read at this moment. Nothing was accepted; try again.",
            retryAfterSeconds: 1, headers: [.connection: "close"]
        )
    }

    /// The connection is closed after it, so that nobody waits for the rest.
    private static func tooLarge(_ limit: Int) -> Problem {
        Problem(.bodyTooLarge, "The body must not be larger than \(limit) bytes.", headers: [.connection: "close"])
    }
}

/// The connection failed, or stopped being HTTP, in the middle of a body.
struct BrokenBody: Error {
    let underlying: any Error
}
