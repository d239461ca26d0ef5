import AgentWorkerCore
import Bootstrap
import Contracts
import Coordination
import Foundation
import NATS
import Synchronization
import Testing

@testable import AgentWorkerService

/// What comes of every kind of answer that an endpoint may give.
@Suite(.timeLimit(.minutes(2)))
struct ModelBackendTests {
    @Test func `an answer is read as it streams, and its usage is reported`() async throws {
        try await ModelUnderTest.run { _, reply in
            try await reply.head()
            for word in ["It ", "works", ", é"] { try await reply.piece(word) }
            try await reply.end(tokens: 42)
        } _: { test async throws in
            let end = try await test.work()
            #expect(
                end.output?.text == "{\"text\":\"It works, é\",\"model\":\"model-1\",\"finish_reason\":\"stop\"}")
            #expect(end.usage == AgentReport.Usage(tokens: 42))
            #expect(test.counted == [1, 0, 0])
            let request = try #require(test.server.requests.first)
            #expect(request.head.hasPrefix("POST /v1/chat/completions HTTP/1.1"))
            #expect(request.header("authorization") == "Bearer \(ModelUnderTest.secretKey)")
            #expect(request.header("content-type") == "application/json")
            let body = Dictionary(uniqueKeysWithValues: try request.json.fields ?? [])
            #expect(body["model"]?.string == "model-1" && body["stream"]?.bool == true)
            #expect(body["stream_options"]?.text == "{\"include_usage\":true}" && body["max_tokens"]?.int == 4096)
            #expect(body["messages"]?.text == "[{\"role\":\"user\",\"content\":\"Why?\"}]")
        }
    }

    @Test func `a slow drip, cut inside characters, is one answer, with progress meanwhile`() async throws {
        let bytes = Array("data: \(ModelServer.chunk("Grüße 世界 👩‍👩‍👧"))\n\n".utf8)
        try await ModelUnderTest.run { _, reply in
            try await reply.head()
            try await reply.piece("Go: ")
            // Far apart, and each byte alone.
            for byte in bytes {
                try await reply.write([byte])
                try await Task.sleep(for: .milliseconds(3))
            }
            try await reply.end()
        } _: { test async throws in
            let end = try await test.work()
            #expect(end.output?.fields?.first?.value.string == "Go: Grüße 世界 👩‍👩‍👧")
            // As it changed, not as often as bytes came.
            #expect((1...3).contains(test.progress.count))
        }
    }

    @Test func `progress says what was used so far, before the answer ends`() async throws {
        let seen = Latch()
        try await ModelUnderTest.run { _, reply in
            try await reply.head()
            try await reply.piece(String(repeating: "word ", count: 100))
            await seen.wait()
            try await reply.end(tokens: 140)
        } _: { test async throws in
            async let end = test.work()
            for await progress in test.progress.stream {
                #expect((progress.usage?.tokens ?? 0) >= 125)
                #expect(progress.data?.text == "{\"answer_bytes\":500}")
                break
            }
            seen.open()
            #expect(try await end.usage?.tokens == 140)
        }
    }

    @Test func `usage that the endpoint keeps to itself is estimated`() async throws {
        try await ModelUnderTest.run { _, reply in
            try await reply.answer(String(repeating: "x", count: 400), tokens: nil)
        } _: { test async throws in
            // The question: "Why?" and what surrounds it; the answer: four bytes a token.
            #expect(try await test.work().usage?.tokens == 1 + 4 + 100)
        }
    }

    @Test func `an answer that is no stream is taken too`() async throws {
        let body =
            "{\"choices\":[{\"message\":{\"content\":\"Hi\"},\"finish_reason\":\"stop\"}],\"usage\":{\"total_tokens\":5}}"
        try await ModelUnderTest.run { _, reply in
            try await reply.head("200 OK", "Content-Type: application/json; charset=utf-8")
            try await reply.write(body)
        } _: { test async throws in
            let end = try await test.work()
            #expect(end.output?.fields?.first?.value.string == "Hi" && end.usage?.tokens == 5)
        }
    }

    /// What is written, the failure's code, whether it is tried again, whether it counts against the endpoint.
    struct Bad: Sendable, CustomTestStringConvertible {
        let code: String
        let isRetryable: Bool
        let isOutage: Bool
        let script: ModelServer.Script
        let testDescription: String

        init(
            _ name: String, _ code: String, retryable: Bool, outage: Bool, _ script: @escaping ModelServer.Script
        ) {
            testDescription = name
            self.code = code
            isRetryable = retryable
            isOutage = outage
            self.script = script
        }
    }

    static let bad: [Bad] = [
        Bad("truncated", "model_stream_broken", retryable: true, outage: true) { _, reply in
            try await reply.head()
            try await reply.piece("half of")
        },
        Bad("truncated in a chunked body", "model_stream_broken", retryable: true, outage: true) { _, reply in
            try await reply.head("200 OK", "Content-Type: text/event-stream\r\nTransfer-Encoding: chunked")
            try await reply.write("40\r\ndata: {\"choices\"")
        },
        Bad("truncated inside a character", "model_stream_broken", retryable: true, outage: true) { _, reply in
            try await reply.head()
            try await reply.write(Array("data: {\"choices\":[{\"delta\":{\"content\":\"é".utf8).dropLast())
        },
        Bad("nothing after the head", "model_stream_broken", retryable: true, outage: true) { _, reply in
            try await reply.head()
        },
        Bad("hung up without a word", "model_unreachable", retryable: true, outage: true) { _, _ in },
        Bad("no HTTP", "model_unreachable", retryable: true, outage: true) { _, reply in
            try await reply.write("SSH-2.0-OpenSSH\r\n")
        },
        Bad("429", "model_overloaded", retryable: true, outage: false) { _, reply in
            try await reply.refuse("429 Too Many Requests", "Retry-After: 77")
        },
        Bad("500", "model_server_error", retryable: true, outage: true) { _, reply in
            try await reply.refuse("500 Internal Server Error")
        },
        Bad("400", "model_request_refused", retryable: false, outage: false) { _, reply in
            try await reply.refuse("400 Bad Request")
        },
        Bad("401", "model_key_refused", retryable: false, outage: false) { _, reply in
            try await reply.refuse("401 Unauthorized")
        },
        Bad("404", "model_request_refused", retryable: false, outage: false) { _, reply in
            try await reply.refuse("404 Not Found")
        },
        Bad("redirect", "model_bad_answer", retryable: false, outage: true) { _, reply in
            try await reply.refuse("307 Temporary Redirect", "Location: http://127.0.0.1:1/")
        },
        Bad("silence before a word", "model_timeout", retryable: true, outage: true) { _, reply in
            await reply.untilGone()
        },
        Bad("silence in the middle", "model_timeout", retryable: true, outage: true) { _, reply in
            try await reply.head()
            try await reply.piece("half of")
            await reply.untilGone()
        },
        Bad("huge line", "model_bad_answer", retryable: true, outage: true) { _, reply in
            try await reply.head()
            while true { try await reply.write([UInt8](repeating: UInt8(ascii: "x"), count: 65_536)) }
        },
        Bad("garbage", "model_bad_answer", retryable: true, outage: true) { _, reply in
            try await reply.head()
            try await reply.event("{\"choices\":[{]}")
        },
        Bad("bytes that are no text", "model_bad_answer", retryable: true, outage: true) { _, reply in
            try await reply.head()
            try await reply.write(Array("data: ".utf8) + [0xFF, 0xFE, 0x00, 0x0A, 0x0A])
        },
        Bad("web page", "model_bad_answer", retryable: true, outage: true) { _, reply in
            try await reply.head("200 OK", "Content-Type: text/html")
            try await reply.write("<html>")
        },
        Bad("no content type", "model_bad_answer", retryable: true, outage: true) { _, reply in
            try await reply.head("200 OK", "X-Nothing: here")
            try await reply.piece("text")
        },
        Bad("error in the stream", "model_bad_answer", retryable: true, outage: true) { _, reply in
            try await reply.head()
            try await reply.event("{\"error\":{\"message\":\"overloaded\"}}")
        },
        Bad("endless answer", "output_too_large", retryable: false, outage: false) { _, reply in
            try await reply.head()
            while true { try await reply.piece(String(repeating: "x", count: 50_000)) }
        },
        Bad("filtered", "model_declined", retryable: false, outage: false) { _, reply in
            try await reply.answer("I", finish: "content_filter")
        },
        Bad("declined", "model_declined", retryable: false, outage: false) { _, reply in
            try await reply.head()
            try await reply.event("{\"choices\":[{\"delta\":{\"refusal\":\"I cannot.\"},\"finish_reason\":\"stop\"}]}")
        },
    ]

    @Test(arguments: bad)
    func `an answer that is none is a failure with a clear code`(_ bad: Bad) async throws {
        try await ModelUnderTest.run(bad.script, adjust: { $0.silenceMax = .seconds(8) }) { test async throws in
            let failure = try await test.work().failure
            #expect(failure?.code == bad.code, "\(String(describing: failure))")
            #expect(failure?.isRetryable == bad.isRetryable)
            #expect(test.counted[1] == (bad.isOutage ? 1 : 0))
            #expect(test.server.requests.count == 1)
            if bad.code == "model_overloaded" { #expect(failure?.retryAfterSeconds == 77) }
        }
    }

    @Test func `a call as a whole has its deadline, however busy the endpoint looks`() async throws {
        try await ModelUnderTest.run { _, reply in
            try await reply.head()
            while true {
                try await reply.piece("and ")
                try await Task.sleep(for: .milliseconds(10))
            }
        } adjust: {
            // Long enough that the first words come in time on a busy machine, too.
            $0.callTimeout = .seconds(3)
        } _: { test async throws in
            let end = try await test.work()
            #expect(end.failure?.code == "model_timeout" && end.failure?.isRetryable == true)
            // What was written by then is paid for.
            #expect((end.usage?.tokens ?? 0) > 0)
            #expect(test.counted == [1, 1, 0])
        }
    }

    @Test func `an attempt's own short deadline says nothing of the endpoint`() async throws {
        try await ModelUnderTest.run { _, reply in
            try await reply.head()
            await reply.untilGone()
        } _: { test async throws in
            let failure = try await test.work(seconds: 0.5).failure
            #expect(failure?.code == "model_timeout" && failure?.isRetryable == true)
            #expect(test.counted == [0, 0, 0])
        }
    }

    @Test func `the model sees what was made before and what its reviewers said of it`() async throws {
        let concern = "SQL is put together from input."
        try await ModelUnderTest.run { _, reply in
            try await reply.answer("Bound.")
        } _: { test async throws in
            let plan = "{\"review\": {\"concerns\": [{\"role\": \"security\", \"rationale\": \"\(concern)\"}]}}"
            _ = try await test.work(plan: plan, previous: "{\"code\": \"select($name)\"}")
            let body = try #require(test.server.requests.first).json.fields ?? []
            let messages = body.first { $0.name == "messages" }?.value.array ?? []
            let asked = messages.map { $0.fields?.last?.value.string ?? "" }
            #expect(asked.count == 2 && asked.last?.hasPrefix("Why?\n\n") == true)
            #expect(asked.last?.contains(concern) == true && asked.last?.contains("select($name)") == true)
        }
    }

    @Test(arguments: ["503 Service Unavailable", "429 Too Many Requests", "408 Request Timeout", "409 Conflict"])
    func `what may pass is asked again within the attempt`(_ status: String) async throws {
        try await ModelUnderTest.run { request, reply in
            if request.number < 3 {
                try await reply.refuse(status, "Retry-After: 0")
            } else {
                try await reply.answer("Now.")
            }
        } adjust: {
            $0.tries = 3
        } _: { test async throws in
            #expect(try await test.work().output != nil)
            #expect(test.server.requests.count == 3)
            #expect(test.counted == (status.hasPrefix("5") ? [3, 2, 0] : [1, 0, 0]))
        }
    }

    @Test func `tries have their bound`() async throws {
        try await ModelUnderTest.run { _, reply in
            try await reply.refuse("503 Service Unavailable")
        } adjust: {
            $0.tries = 3
        } _: { test async throws in
            let failure = try await test.work().failure
            #expect(failure?.code == "model_server_error")
            #expect(test.server.requests.count == 3)
        }
    }

    @Test(arguments: ["400 Bad Request", "401 Unauthorized", "403 Forbidden", "404 Not Found"])
    func `what cannot pass is asked once`(_ status: String) async throws {
        try await ModelUnderTest.run { _, reply in
            try await reply.refuse(status)
        } adjust: {
            $0.tries = 3
        } _: { test async throws in
            #expect(try await test.work().failure?.isRetryable == false)
            #expect(test.server.requests.count == 1)
        }
    }

    @Test func `a long wish to wait is left to the next attempt`() async throws {
        try await ModelUnderTest.run { _, reply in
            try await reply.refuse("429 Too Many Requests", "Retry-After: 30")
        } adjust: {
            $0.tries = 3
        } _: { test async throws in
            let failure = try await test.work().failure
            #expect(failure?.retryAfterSeconds == 30 && test.server.requests.count == 1)
        }
    }

    @Test func `nobody there is a failure that is tried again`() async throws {
        try await ModelUnderTest.run { _, _ in
        } adjust: { settings in
            if let other = ModelSettings(base: "http://127.0.0.1:1/v1", model: "m") { settings = other }
            settings.tries = 2
        } _: { test async throws in
            let failure = try await test.work().failure
            #expect(failure?.code == "model_unreachable" && failure?.isRetryable == true)
            #expect(test.counted == [2, 2, 0])
        }
    }

    @Test func `a stop hangs up at once, and says what was used`() async throws {
        let (hungUp, started, stop) = (Latch(), Latch(), StopSignal())
        try await ModelUnderTest.run { _, reply in
            try await reply.head()
            try await reply.piece(String(repeating: "x", count: 100))
            started.open()
            await reply.untilGone()
            hungUp.open()
        } _: { test async throws in
            async let end = test.work(stop: stop)
            for await _ in test.progress.stream { break }
            let start = ContinuousClock.now
            stop.stop(.canceled)
            #expect(try await end.isStopped)
            #expect(try await end.usage?.tokens == 1 + 4 + 25)
            await hungUp.wait()
            #expect(ContinuousClock.now - start < .seconds(10))
            // It says nothing of the endpoint.
            #expect(test.counted == [0, 0, 0])
        }
    }

    @Test func `a first word that comes late counts as slow`() async throws {
        try await ModelUnderTest.run { _, reply in
            try await reply.head()
            try await Task.sleep(for: .milliseconds(60))
            try await reply.piece("x")
            try await reply.end()
        } adjust: {
            $0.slowAfter = .milliseconds(50)
        } _: { test async throws in
            #expect(try await test.work().output != nil)
            #expect(test.counted == [1, 0, 1])
        }
    }

    @Test func `the breaker around the endpoint is a metric of the agent`() throws {
        let configuration = AgentWorkerConfiguration(
            agent: AgentID(literal: "agent-1"), roles: [developer], slots: 1, owner: "tests", backend: .echo,
            nats: NATSConfiguration(servers: ["nats://127.0.0.1:1"], name: "agent-1")
        )
        let health = AgentHealth(configuration)
        let registry = BreakerRegistry(redis: nil, replica: "test", replicas: { 1 }, logger: quietLogger)
        _ = try registry.breaker("llm:models.example.com")
        health.show(breakers: { registry.statuses })
        #expect(health.registry.text().contains(#"circuit_breaker_state{name="llm:models.example.com"} 0"#))
    }

    @Test func `the key is in no message, whatever the endpoint says`() async throws {
        let said = "{\"error\":{\"message\":\"Incorrect API key provided: \(ModelUnderTest.secretKey).\"}}"
        for status in ["400 Bad Request", "401 Unauthorized", "500 Internal Server Error"] {
            try await ModelUnderTest.run { _, reply in
                try await reply.refuse(status, "", said)
            } _: { test async throws in
                let failure = try await test.work().failure
                #expect(failure?.message.contains(ModelUnderTest.secretKey) == false)
            }
        }
    }
}
