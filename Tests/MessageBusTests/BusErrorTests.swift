import NATS
import Testing

@testable import MessageBus

@Suite struct BusErrorTests {
    struct Refusal: Sendable, CustomTestStringConvertible {
        let status: Int
        /// Nil where the server names none.
        let number: Int?
        let code: BusError.Code

        init(_ status: Int, _ number: Int?, _ code: BusError.Code) {
            (self.status, self.number, self.code) = (status, number, code)
        }

        var testDescription: String { "\(status) \(number ?? 0)" }

        var json: String {
            let number = number.map { ",\"err_code\":\($0)" } ?? ""
            return "{\"error\":{\"code\":\(status)\(number),\"description\":\"no\"}}"
        }
    }

    static let refusals = [
        // No leader of the cluster, no leader of the stream, one that is just losing its office.
        Refusal(503, 10008, .unavailable), Refusal(503, 10076, .unavailable), Refusal(503, nil, .unavailable),
        // What says more than its status.
        Refusal(503, 10077, .streamFull), Refusal(503, 10023, .streamFull), Refusal(500, 10047, .streamFull),
        Refusal(400, 10054, .messageTooLarge), Refusal(400, 10058, .refused), Refusal(500, nil, .refused),
    ]

    @Test(arguments: refusals)
    func `what the administration refuses for a while is worth trying again`(_ refusal: Refusal) {
        let error = #expect(throws: BusError.self) {
            try JetStreamAdmin.answer(Array(refusal.json.utf8), to: "CONSUMER.INFO.WORK.agents")
        }
        #expect(error?.code == refusal.code)
    }

    @Test(arguments: refusals)
    func `what a stream refuses for a while is worth trying again`(_ refusal: Refusal) {
        let refused = NATSError(.jetStream, "no", jetStreamCode: refusal.number, jetStreamStatus: refusal.status)
        #expect(BusError(refused, doing: "Publishing").code == refusal.code)
    }

    @Test(arguments: [10014, 10037, 10043, 10059])
    func `what does not exist is no error to whoever asks whether it does`(_ number: Int) throws {
        let refusal = Refusal(404, number, .topologyMissing)
        #expect(try JetStreamAdmin.answer(Array(refusal.json.utf8), to: "STREAM.INFO.WORK") == nil)
    }
}
