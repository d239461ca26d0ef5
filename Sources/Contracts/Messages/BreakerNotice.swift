/// On `control.breaker`: the shared record of a circuit breaker made a transition.
///
/// A doorbell only: who uses the breaker looks at the record, and would within a second anyway.
package struct BreakerNotice: Sendable, Equatable, WireMessage {
    package let name: String
    /// The record's version now; who knows it already need not look.
    package let version: Int

    package init(name: String, version: Int) {
        self.name = name
        self.version = version
    }

    package init(json: JSON) throws(JSONError) {
        var body = try JSONReader(json)
        try body.requireVersion()
        name = try body.string("name")
        version = try body.int("version")
    }

    package func write(to writer: inout JSONWriter) {
        writer.field("name", name)
        writer.field("version", version)
    }
}
