internal import Contracts
internal import HTTPEdge
internal import HTTPTypes
internal import TestSupport
import Testing

/// Bodies, good and bad, sent to a real server.
@Suite(.timeLimit(.minutes(5))) struct BodyTests {
    private static let json = ["Content-Type": "application/json"]

    static let badBodies: [(String, String, Int, String)] = [
        ("empty", "", 400, "json_malformed"), ("no JSON", "name=a", 400, "json_malformed"),
        ("cut short", #"{"name":"#, 400, "json_malformed"),
        ("trailing text", #"{"name":"a"} x"#, 400, "json_malformed"),
        ("two fields of one name", #"{"name":"a","name":"b"}"#, 400, "json_duplicate_key"),
        ("NUL", #"{"name":"a\u0000"}"#, 400, "json_nul_in_text"),
        ("half a pair", #"{"name":"\ud800"}"#, 400, "json_bad_utf8"),
        ("deep", String(repeating: "[", count: 70) + String(repeating: "]", count: 70), 400, "json_too_deep"),
        ("a list", "[]", 422, "validation_failed"), ("no name", "{}", 422, "validation_failed"),
        ("another type", #"{"name":7}"#, 422, "validation_failed"),
        ("bad pattern", #"{"name":"a.b"}"#, 422, "validation_failed"),
        ("unknown field", #"{"name":"a","tenant":"x"}"#, 422, "validation_failed"),
    ]

    @Test(arguments: badBodies)
    func `a bad body is refused with its own code`(what: String, body: String, status: Int, code: String) async throws {
        try await TestEdge.run { server in
            let answer = try await server.send("POST", "/things", headers: Self.json, token: Mint.hs256(), body: body)
            #expect(answer.status == status, "\(what)")
            #expect(answer.text.contains("\"code\":\"\(code)\""), "\(what)")
        }
    }

    @Test func `a validation error names its field`() async throws {
        try await TestEdge.run { server in
            let body = #"{"name":"a","tenant":"x"}"#
            let answer = try await server.send("POST", "/things", headers: Self.json, token: Mint.hs256(), body: body)
            #expect(answer.text.contains(#""errors":[{"field":"tenant","message":"#))
        }
    }

    @Test func `bytes that are not UTF-8 are refused`() async throws {
        try await TestEdge.run { server in
            let answer = try await blocking {
                let connection = try RawConnection(port: server.port)
                let body: [UInt8] = Array(#"{"name":""#.utf8) + [0xFF] + Array(#""}"#.utf8)
                try connection.send(head(server, length: body.count))
                try connection.send(body)
                return try connection.readAnswer()
            }
            #expect(answer.status == 400)
            #expect(answer.text.contains("json_bad_utf8"))
        }
    }

    @Test(arguments: [
        nil, "text/plain", "multipart/form-data", "application/json; charset=latin1", "json",
    ])
    func `another media type is 415`(type: String?) async throws {
        try await TestEdge.run { server in
            let headers = type.map { ["Content-Type": $0] } ?? [:]
            let answer = try await server.send(
                "POST", "/things", headers: headers, token: Mint.hs256(), body: #"{"name":"a"}"#
            )
            #expect(answer.status == 415)
        }
    }

    @Test(arguments: [
        "application/json", "Application/JSON; charset=UTF-8", "application/json;charset=\"utf-8\"",
        "application/x-www-form-urlencoded",
    ])
    func `JSON is taken however its type is written`(type: String) async throws {
        try await TestEdge.run { server in
            let answer = try await server.send(
                "POST", "/things", headers: ["Content-Type": type], token: Mint.hs256(), body: #"{"name":"a"}"#
            )
            #expect(answer.status == 202)
        }
    }

    @Test func `a body beyond the limit is 413, announced or not`() async throws {
        try await TestEdge.run { server in
            let announced = try await blocking {
                let connection = try RawConnection(port: server.port)
                try connection.send(head(server, length: (1 << 20) + 1))
                return try connection.readAnswer()
            }
            #expect(announced.status == 413)
            #expect(announced.headers["connection"] == "close")
            let chunked = try await blocking {
                let connection = try RawConnection(port: server.port)
                try connection.send(head(server, length: nil))
                let chunk = "10000\r\n" + String(repeating: "x", count: 65_536) + "\r\n"
                for _ in 0..<17 { try connection.send(chunk) }
                return try connection.readAnswer()
            }
            #expect(chunked.status == 413)
            #expect(try await server.send("GET", "/health").status == 200)
        }
    }

    @Test func `a body of just the limit is read, in pieces too`() async throws {
        try await TestEdge.run { server in
            let body = #"{"name":"a"}"# + String(repeating: " ", count: (1 << 20) - 12)
            let whole = try await server.send("POST", "/things", headers: Self.json, token: Mint.hs256(), body: body)
            #expect(whole.status == 202)
            let pieces = try await blocking {
                let connection = try RawConnection(port: server.port)
                try connection.send(head(server, length: nil))
                for letter in #"{"name":"a"}"# { try connection.send("1\r\n\(letter)\r\n") }
                try connection.send("0\r\n\r\n")
                return try connection.readAnswer()
            }
            #expect(pieces.status == 202)
        }
    }

    @Test func `a body cut short by the client is never taken for a whole one`() async throws {
        try await TestEdge.run { server in
            // What has arrived is a whole JSON value; the announced length says that more was meant.
            let answer = try await blocking {
                let connection = try RawConnection(port: server.port)
                try connection.send(head(server, length: 100))
                try connection.send(#"{"name":"a"}"#)
                connection.finishSending()
                return try connection.readToEnd()
            }
            #expect(!answer.contains("202"))
            let chunked = try await blocking {
                let connection = try RawConnection(port: server.port)
                try connection.send(head(server, length: nil) + "c\r\n" + #"{"name":"a"}"# + "\r\n")
                connection.finishSending()
                return try connection.readToEnd()
            }
            #expect(!chunked.contains("202"))
        }
    }

    @Test func `what is not HTTP is refused and the server lives on`() async throws {
        try await TestEdge.run { server in
            for start in ["nonsense", "MADEUP /things HTTP/1.1", "GET /health HTTP/9.9", "\u{0}\u{1}\u{2}"] {
                let answer = try await blocking {
                    let connection = try RawConnection(port: server.port)
                    try connection.send(start + "\r\n\r\n")
                    connection.finishSending()
                    return try connection.readToEnd()
                }
                #expect(answer.isEmpty || answer.hasPrefix("HTTP/1.1 400"), "\(answer)")
            }
            // Two ways of saying where a body ends: what one server skips, another would take for a request.
            for framing in [
                "Content-Length: 5\r\nTransfer-Encoding: chunked", "Content-Length: 5\r\nContent-Length: 6",
                "Content-Length: +5", "Transfer-Encoding: chunked, identity",
            ] {
                let answer = try await blocking {
                    let connection = try RawConnection(port: server.port)
                    try connection.send("POST /things HTTP/1.1\r\nHost: t\r\n\(framing)\r\n\r\n0\r\n\r\n")
                    connection.finishSending()
                    return try connection.readToEnd()
                }
                #expect(answer.isEmpty || answer.hasPrefix("HTTP/1.1 4"), "\(framing): \(answer)")
            }
            let badChunk = try await blocking {
                let connection = try RawConnection(port: server.port)
                try connection.send(head(server, length: nil) + "zz\r\nnonsense")
                connection.finishSending()
                return try connection.readToEnd()
            }
            #expect(badChunk.hasPrefix("HTTP/1.1 400"))
            #expect(try await server.send("GET", "/health").status == 200)
        }
    }

    static let keys: [(String, Int)] = [
        ("a", 202), (String(repeating: "k", count: 255), 202), ("!~", 202), (String(repeating: "k", count: 256), 400),
        ("a b", 400), ("é", 400), ("", 400),
    ]

    @Test(arguments: keys)
    func `an idempotency key is 1 to 255 visible characters`(key: String, status: Int) async throws {
        try await TestEdge.run { server in
            let headers = Self.json.merging(["Idempotency-Key": key]) { $1 }
            let answer = try await server.send(
                "POST", "/things", headers: headers, token: Mint.hs256(), body: #"{"name":"a"}"#
            )
            #expect(answer.status == status)
            if status == 400 { #expect(answer.text.contains("invalid_header")) }
        }
    }

    @Test func `a connection serves one request after another, refused ones included`() async throws {
        try await TestEdge.run { server in
            let statuses = try await blocking {
                let connection = try RawConnection(port: server.port)
                var statuses: [Int] = []
                for body in [#"{"name":"a"}"#, "nonsense", #"{"name":"b"}"#] {
                    try connection.send(head(server, length: body.utf8.count) + body)
                    statuses.append(try connection.readAnswer().status)
                }
                try connection.send("GET /nothing HTTP/1.1\r\nHost: t\r\n\r\nGET /health HTTP/1.1\r\nHost: t\r\n\r\n")
                statuses.append(try connection.readAnswer().status)
                statuses.append(try connection.readAnswer().status)
                return statuses
            }
            #expect(statuses == [202, 400, 202, 404, 200])
        }
    }
}

/// The head of a `POST /things`; chunked without a length.
private func head(_ server: TestEdge, length: Int?) -> String {
    let framing = length.map { "Content-Length: \($0)" } ?? "Transfer-Encoding: chunked"
    return "POST /things HTTP/1.1\r\nHost: t\r\nContent-Type: application/json\r\n"
        + "Authorization: Bearer \(Mint.hs256())\r\n\(framing)\r\n\r\n"
}
