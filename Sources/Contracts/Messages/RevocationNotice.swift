/// On `control.revocations`: somebody's tokens count no more.
///
/// A doorbell only: every replica reads whose from the database, and would within seconds anyway.
package struct RevocationNotice: Sendable, Equatable, WireMessage {
    package init() {}

    package init(json: JSON) throws(JSONError) {
        var body = try JSONReader(json)
        try body.requireVersion()
    }

    package func write(to writer: inout JSONWriter) {}
}
