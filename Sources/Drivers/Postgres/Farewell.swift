internal import CLibPQ

/// Hears the error with which a server ends an idle session. To libpq it is a notice, because no statement waits for
/// it; without listening, the next statement would be sent into the closing connection. Other notices are dropped.
final class Farewell {
    private(set) var isSaid = false

    /// The connection must not outlive this object.
    func listen(on raw: OpaquePointer) {
        unsafe PQsetNoticeReceiver(
            raw,
            { context, result in
                guard let context = unsafe context, let result = unsafe result,
                    let severity = unsafe PQresultErrorField(result, Farewell.severityField)
                else { return }
                let farewell = unsafe Unmanaged<Farewell>.fromOpaque(context).takeUnretainedValue()
                if unsafe ["FATAL", "PANIC"].contains(String(cString: severity)) { farewell.isSaid = true }
            }, Unmanaged.passUnretained(self).toOpaque())
    }

    /// libpq's `PG_DIAG_SEVERITY_NONLOCALIZED`, a macro that Swift does not import.
    private static let severityField = Int32(UnicodeScalar("V").value)
}
