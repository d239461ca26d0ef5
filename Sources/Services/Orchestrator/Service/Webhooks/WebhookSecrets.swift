internal import Contracts
internal import FoundationEssentials
internal import HTTPEdge
internal import Storage

/// Makes signing secrets, and opens those that are kept.
struct WebhookSecrets: Sendable {
    /// How long the secret before a rotation still signs, beside the new one.
    static let overlap: TimeInterval = 86_400

    private let seal: Seal

    /// - Parameter installation: the installation's own secrets; without any no webhook can be made.
    init(installation: [[UInt8]]) {
        seal = Seal(secrets: installation, purpose: "golden-webhook-secret-1")
    }

    /// Nil when the installation has no secret of its own.
    func make(for tenant: TenantID) throws -> (secret: WebhookSecret, sealed: [UInt8])? {
        guard seal.canSeal else { return nil }
        let secret = WebhookSecret()
        return (secret, try seal.seal(secret.bytes, label: tenant.text))
    }

    /// Those to sign with now, the current one first; none when they cannot be opened.
    func open(_ secret: SealedSecret, of tenant: TenantID, now: Date) -> [WebhookSecret] {
        guard let current = seal.open(secret.sealed, label: tenant.text) else { return [] }
        var secrets = [WebhookSecret(bytes: current)]
        if let previous = secret.previous, now < previous.until,
            let before = seal.open(previous.sealed, label: tenant.text)
        {
            secrets.append(WebhookSecret(bytes: before))
        }
        return secrets
    }
}
