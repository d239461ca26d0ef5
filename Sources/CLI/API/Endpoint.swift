internal import Contracts
internal import FoundationEssentials

/// Where the API is and how to enter it.
struct Endpoint: Sendable, Equatable {
    static let stackTokenSeconds = 900
    static let stackSubject = "golden-cli"

    /// Without a slash at the end.
    let url: String
    let credential: Credential

    enum Credential: Sendable, Equatable {
        case token(String)
        /// The stack's own secret; every request gets a fresh token, so that following may outlast any of them.
        case secret(String, role: String)
    }

    /// What goes behind `Bearer`.
    func token() async throws(CLIError) -> String {
        switch credential {
        case .token(let token): token
        case .secret(let secret, let role):
            try await TokenMint(secret: secret).token(
                subject: Self.stackSubject, role: role, tenant: "default", seconds: Self.stackTokenSeconds
            )
        }
    }

    /// From `--url` and `--token` (or GOLDEN_URL, GOLDEN_TOKEN); what is missing comes from the stack in `folder`,
    /// whose secret signs short tokens for `role` in tenant `default`.
    static func find(
        url: String?, token: String?, folder: StackFolder, role: String, environment: [String: String]
    ) throws(CLIError) -> Endpoint {
        let url = url ?? environment["GOLDEN_URL"]
        let token = token ?? environment["GOLDEN_TOKEN"]
        if let url, let token { return Endpoint(url: trimmed(url), credential: .token(token)) }
        guard let record = try StackRecord.load(from: folder), record.supervisor?.isRunning == true else {
            let what = url == nil ? "no --url was given" : "no --token was given"
            throw CLIError(
                .stackNotRunning, "No stack runs in \(folder.path) and \(what).",
                next: "Start one: golden up --detach   Or point at an API: --url URL --token TOKEN"
            )
        }
        if let token { return Endpoint(url: trimmed(url ?? record.apiURL), credential: .token(token)) }
        // The stack's secret vouches for its own API only; a token must not travel to another address.
        guard url == nil || trimmed(url ?? "") == record.apiURL else {
            throw CLIError(
                .usage, "--url points elsewhere than the stack in \(folder.path), so a token is needed.",
                next: "Give --token or set GOLDEN_TOKEN."
            )
        }
        guard let secrets = try StackSecrets.load(from: folder) else {
            throw CLIError(.noSecret, "The stack in \(folder.path) has no secrets file.", next: "golden up --detach")
        }
        return Endpoint(url: record.apiURL, credential: .secret(secrets.jwt, role: role))
    }

    private static func trimmed(_ url: String) -> String { url.hasSuffix("/") ? String(url.dropLast()) : url }
}
