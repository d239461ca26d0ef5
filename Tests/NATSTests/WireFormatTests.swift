import Testing

@testable import NATS

extension NATSTests {
    @Suite struct WireFormatTests {
        @Test func `a delivery is read from the short and the long reply subject`() throws {
            let short = "$JS.ACK.WORK.agents.2.31.17.1700000000000000001.5"
            let long = "$JS.ACK.hub.hash.WORK.agents.2.31.17.1700000000000000001.5.random"
            for reply in [short, long, long + ".more"] {
                let delivery = try #require(Delivery(NATSMessage(subject: "s", reply: reply, payload: [1])))
                #expect(delivery.stream == "WORK")
                #expect(delivery.consumer == "agents")
                #expect(delivery.deliveryCount == 2)
                #expect(delivery.streamSequence == 31)
                #expect(delivery.consumerSequence == 17)
                #expect(delivery.timestampNanoseconds == 1_700_000_000_000_000_001)
                #expect(delivery.pending == 5)
            }
        }

        @Test(arguments: [
            nil, "", "$JS.ACK", "_INBOX.a.b", "$JS.ACK.W.a.2.31.17.17", "$JS.ACK.W.a.x.31.17.1.5",
            "$JS.ACK.W.a.-2.31.17.1.5", "$JS.ACK.W.a.2.31.17.1.99999999999999999999999999", "$JX.ACK.W.a.2.31.17.1.5",
            ".........", "$JS.ACK.h.h.W.a.2.3.4.5.6",
        ])
        func `anything else is no delivery and never traps`(_ reply: String?) {
            #expect(Delivery(NATSMessage(subject: "s", reply: reply, payload: [])) == nil)
        }

        @Test func `an acknowledgement is read whatever else the server adds`() throws {
            let json = """
                {"stream":"W\\u00e9","seq":18446744073709551615,"domain":{"a":[1,-2.5e3,null,false]},"duplicate":true}
                """
            let ack = try JetStreamAnswer.acknowledgement(NATSMessage(subject: "", payload: bytes(json)))
            #expect(ack == StreamAck(stream: "Wé", sequence: .max, duplicate: true))
        }

        @Test(arguments: [
            #"{"stream":"WORK", "seq":7}"#, #"{"stream":"WORK","seq":9999999999999999999}"#,
            #"{"stream":"WORK", "seq":7,"duplicate": true}"#, #"{"stream":"WORK","seq":18446744073709551615}"#,
            #"{"stream":"W\u00e9","seq":7}"#, #"{"stream":"WORK","domain":"hub","seq":7}"#, #"{"stream":"","seq":0}"#,
        ])
        func `the short way to read an acknowledgement finds what the long way does`(_ json: String) throws {
            let long = try #require(JSONValue(bytes(json)))
            if let short = StreamAck(plain: bytes(json)) {
                #expect(short.stream == long["stream"]?.text && short.sequence == long["seq"]?.integer)
                #expect(!short.duplicate && long["duplicate"] == nil)
            }
        }

        @Test func `the short way reads what servers say of most messages`() {
            let ack = StreamAck(stream: "WORK", sequence: 7, duplicate: false)
            #expect(StreamAck(plain: bytes(#"{"stream":"WORK", "seq":7}"#)) == ack)
            #expect(StreamAck(plain: bytes(#"{"stream":"WORK","seq":7}"#)) == ack)
        }

        @Test(arguments: [
            "", "{", #"{"stream":""#, #"{"stream":"W"}"#, #"{"stream":"W","seq":}"#, #"{"stream":"W","seq":-1}"#,
            #"{"stream":"W","seq":7,"duplicate":true}"#, #"{"stream":"W","seq":7}}"#, #"{"stream":"W" "seq":7"#,
            #"{"stream":"W","seq":18446744073709551616}"#, #"{"error":{"code":503},"stream":"W","seq":0}"#,
            #"{"stream":"W\"","seq":7}"#,
        ])
        func `the short way leaves everything else to the long one`(_ json: String) {
            #expect(StreamAck(plain: bytes(json)) == nil)
        }

        @Test func `an error answer carries JetStream's code`() throws {
            let json = #"{"type":"x","error":{"code":404,"err_code":10059,"description":"stream not found"}}"#
            let error = try #require(throws: NATSError.self) {
                _ = try JetStreamAnswer.acknowledgement(NATSMessage(subject: "", payload: bytes(json)))
            }
            #expect(error.code == .jetStream)
            #expect(error.jetStreamCode == 10059)
            #expect(error.jetStreamStatus == 404)
            #expect(error.message.contains("stream not found"))
        }

        @Test(arguments: [
            "", "{", "}", "{\"a\"}", "{\"a\":}", "[1,]", "\"\\u12", "\"\\", "tru", "{\"stream\":\"W\"}", "1 2",
            "[[[[[[[[[[[[[[[[[[1]]]",
            "{\"stream\":\"W\",\"seq\":-1}", "{\"stream\":\"W\",\"seq\":1.5}", "\u{0}",
        ])
        func `a broken answer is an error and never traps`(_ json: String) {
            #expect(throws: NATSError.self) {
                _ = try JetStreamAnswer.acknowledgement(NATSMessage(subject: "", payload: bytes(json)))
            }
        }

        @Test func `random bytes never trap the reader`() {
            for _ in 0..<20_000 {
                let length = Int.random(in: 0..<24)
                let alphabet = Array("{}[]\":,\\utrnfalse019.-+e \u{0}é".utf8)
                _ = JSONValue((0..<length).map { _ in alphabet.randomElement() ?? 0 })
            }
        }

        @Test func `credentials are cut out of a URL`() {
            #expect(withoutCredentials("nats://user:p@ss@host:4222") == "nats://host:4222")
            #expect(withoutCredentials("nats://host:4222") == "nats://host:4222")
            #expect(withoutCredentials("token@host") == "host")
        }
    }
}
