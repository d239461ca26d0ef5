internal import Bootstrap
internal import NIOSSL
internal import OrchestratorCore

/// How webhooks are sent.
///
/// Keys: `GOLDEN_WEBHOOK_ALLOW` (hosts, addresses and networks that are allowed besides the public internet),
/// `GOLDEN_WEBHOOK_CA` (a PEM file of authorities that receivers' certificates may come from besides the system's),
/// `GOLDEN_WEBHOOK_TIMEOUT_SECONDS`, `GOLDEN_WEBHOOK_ATTEMPTS`, `GOLDEN_WEBHOOK_FIRST_WAIT_SECONDS`.
struct WebhookConfiguration: Sendable {
    /// For one attempt, from the connection to the end of the answer.
    var timeout: Duration
    var delivery: DeliveryRules
    var addresses: AddressRules
    /// Trusted besides the system's.
    var authorities: [NIOSSLCertificate]

    init(_ settings: ServiceConfiguration) throws {
        timeout = .seconds(try settings.int("GOLDEN_WEBHOOK_TIMEOUT_SECONDS", default: 10, in: 1...60))
        delivery = DeliveryRules(
            attemptMax: try settings.int("GOLDEN_WEBHOOK_ATTEMPTS", default: 8, in: 1...20),
            firstWaitSeconds: Double(try settings.int("GOLDEN_WEBHOOK_FIRST_WAIT_SECONDS", default: 10, in: 1...3600))
        )
        let key = "GOLDEN_WEBHOOK_ALLOW"
        let allowed = try settings.list(key, default: "")
        guard let addresses = AddressRules(allowed: allowed) else {
            throw settings.invalid(key, "must be hosts, addresses or networks such as 10.1.0.0/16, with commas between")
        }
        self.addresses = addresses
        authorities = try Self.authorities(settings)
    }

    /// Read at start, so that a file that holds none is noticed then and not at the first delivery.
    private static func authorities(_ settings: ServiceConfiguration) throws -> [NIOSSLCertificate] {
        let key = "GOLDEN_WEBHOOK_CA"
        guard let file = try settings.optionalString(key) else { return [] }
        let found: [NIOSSLCertificate]
        do {
            found = try NIOSSLCertificate.fromPEMFile(file)
        } catch {
            throw settings.invalid(key, "names a file that cannot be read as PEM: \(file) (\(error))")
        }
        guard !found.isEmpty else { throw settings.invalid(key, "names a file that holds no certificate: \(file)") }
        return found
    }
}
