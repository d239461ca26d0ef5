import Contracts
import Foundation
import Storage
import Testing

@testable import OrchestratorService

@Suite struct `Denial digest` {
    private let start = Date(timeIntervalSince1970: 1_790_000_000)

    private func denial(_ second: Double, actor: String = "olga", tenant: String = "acme") -> AuditEntry {
        AuditEntry(
            chain: .tenant(TenantID(tenant) ?? TenantID(literal: "acme")), at: start + second, actor: actor,
            actorRole: "observer", action: "submitTask", resource: "POST /tasks", outcome: .denied, reason: "forbidden"
        )
    }

    @Test func `the first refusals of a minute are written one by one, the rest as their number`() {
        var digest = DenialDigest()
        let written = (0..<60).flatMap { digest.admit(denial(Double($0) / 2)) }
        #expect(written.count == 20 && written.allSatisfy { $0.detail == .emptyObject })
        let next = digest.admit(denial(60))
        #expect(next.count == 2 && next[1].detail == .emptyObject)
        #expect(next[0].detail.text == #"{"repeated":40,"since":"2026-09-21T14:13:20.000Z"}"#)
        #expect(digest.close(before: .distantFuture).isEmpty)
    }

    @Test func `others are counted for themselves, and a minute that is over is told of`() {
        var digest = DenialDigest()
        for second in 0..<30 { _ = digest.admit(denial(Double(second))) }
        #expect(digest.admit(denial(30, actor: "bob")).count == 1)
        #expect(digest.admit(denial(30, tenant: "beta")).count == 1)
        #expect(digest.close(before: start).isEmpty)
        let told = digest.close(before: start + 1)
        #expect(told.count == 1 && told[0].actor == "olga" && told[0].detail.text.contains("\"repeated\":10"))
    }

    @Test func `addresses of one network are counted as one stranger`() {
        var digest = DenialDigest()
        let network = "2001:db8:1:2::/64"
        let written = (0..<30).flatMap { digest.admit(denial(0, actor: "2001:db8:1:2:0:0:0:\($0)"), of: network) }
        #expect(written.map(\.actor) == (0..<20).map { "2001:db8:1:2:0:0:0:\($0)" })
        #expect(digest.close(before: .distantFuture).map(\.actor) == [network])
    }

    @Test func `its memory is bounded however many come`() {
        var digest = DenialDigest()
        var written = 0
        for number in 0..<(DenialDigest.keysMax + 500) { written += digest.admit(denial(0, actor: "a\(number)")).count }
        #expect(written == DenialDigest.keysMax + DenialDigest.singleMax)
        #expect(digest.close(before: .distantFuture).map(\.detail.text).filter { $0.contains("480") }.count == 1)
    }
}

extension DenialDigest {
    fileprivate mutating func admit(_ entry: AuditEntry) -> [AuditEntry] { admit(entry, of: entry.actor) }
}
