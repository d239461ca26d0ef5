internal import Contracts
package import ReleaseGateCore

/// Signed approvals: made by people, one key and role each, and checked before the rules see them.
package enum Approvals {
    package static let payloadType = "application/vnd.golden.release-approval+json"

    /// Signs one.
    package static func make(
        _ plan: ReleasePlan, role: Approval.Role, signer: String, key: ReleaseKey, atSeconds: Int, forSeconds: Int
    ) throws -> DSSEEnvelope {
        let approval = Approval(
            role: role, keyID: key.publicKey.id, signer: signer, digests: plan.train.digests,
            planSHA256: try plan.sha256(), signedSeconds: atSeconds, expiresSeconds: atSeconds + forSeconds)
        var envelope = DSSEEnvelope(payloadType: payloadType, payload: try Canonical.bytes(approval))
        try envelope.sign(with: key)
        return envelope
    }

    /// The approval in an envelope, if a trusted key signed it in the role and under the id it names.
    ///
    /// - Throws: `tampered` naming the file.
    package static func read(
        _ envelope: DSSEEnvelope, from path: String,
        trusted: [(key: ReleasePublicKey, trusted: GateConfiguration.TrustedKey)]
    ) throws(GateError) -> Approval {
        guard envelope.payloadType == payloadType else {
            throw GateError(.invalid, "\(path) is no approval but \(envelope.payloadType).")
        }
        let signers = try envelope.verify(with: trusted.map(\.key), what: path)
        let approval: Approval
        do { approval = try Canonical.decode(Approval.self, from: envelope.payload) } catch {
            throw GateError(.invalid, "\(path) holds no approval.", underlying: error)
        }
        let known = trusted.first { pair in
            signers.contains(pair.key) && pair.key.id == approval.keyID && pair.trusted.role == approval.role
        }
        guard let known else {
            throw GateError(
                .refused, "\(path): its key is not trusted to approve as \(approval.role.rawValue).",
                next: "gate.yaml lists the keys and their roles.")
        }
        return Approval(
            role: approval.role, keyID: approval.keyID, signer: known.trusted.signer, digests: approval.digests,
            planSHA256: approval.planSHA256, signedSeconds: approval.signedSeconds,
            expiresSeconds: approval.expiresSeconds)
    }
}
