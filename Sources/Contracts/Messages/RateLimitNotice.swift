/// On `control.rate-limits`: the rate limits were set anew.
///
/// A doorbell only: every replica reads them from the database, and would within seconds anyway.
package struct RateLimitNotice: Sendable, Equatable, WireMessage {
    /// The newest version; who has it already need not look.
    package let version: Int

    package init(version: Int) { self.version = version }

    package init(json: JSON) throws(JSONError) {
        var body = try JSONReader(json)
        try body.requireVersion()
        version = try body.int("version")
    }

    package func write(to writer: inout JSONWriter) { writer.field("version", version) }
}
