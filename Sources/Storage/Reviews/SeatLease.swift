package import Contracts
internal import Crypto
internal import FoundationEssentials

/// The lease tokens of a seat's work, one for each time it is handed out.
///
/// They are derived, so that handing work out again needs no room in the table and any replica can do it: HMAC-SHA-256
/// (RFC 2104) of the work's id and the attempt, under a key that leaves the database for nobody.
package enum SeatLease {
    package static func token(for assignment: ReviewSession.Assignment, attempt: Int) -> String {
        let code = HMAC<SHA256>.authenticationCode(
            for: Array("\(assignment.work).\(attempt)".utf8),
            using: SymmetricKey(data: Array(assignment.leaseKey.utf8))
        )
        // 128 bits, as two words.
        let bytes = Array(code.prefix(16))
        return [bytes[..<8], bytes[8...]].map { half in
            Hexadecimal.text(half.reduce(UInt64(0)) { $0 << 8 | UInt64($1) })
        }.joined()
    }

    /// The seat whose work that is, if the token is the attempt's.
    static func role(in session: ReviewSession, work: TaskID, attempt: Int, token: String) -> AgentRole? {
        guard (1...ReviewSession.Assignment.attemptsMax).contains(attempt),
            let (role, assignment) = session.assignments.first(where: { $0.value.work == work }),
            LeaseToken.matches(token, Self.token(for: assignment, attempt: attempt))
        else { return nil }
        return role
    }
}
