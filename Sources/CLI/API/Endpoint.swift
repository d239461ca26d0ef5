internal import Contracts
internal import FoundationEssentials

/// Where the API is and how to enter it.
struct Endpoint: Sendable, Equatable {
    static let stackTokenSeconds = 900
    static let stackSubject = "golden-cli"

    /// Without a slash at the end.
    let url: String
    let credential: Credential
    /// Whose API it is; nil for one that was only named.
    var stack: StackFolder?

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
    ///
    /// - Throws: `usage` when the address is none; `stackNotRunning` when something is missing and no stack runs.
    static func find(
        url: String?, token: String?, folder: StackFolder, role: String, environment: [String: String]
    ) throws(CLIError) -> Endpoint {
        var url = url ?? environment["GOLDEN_URL"]
        if let given = url { url = try address(given) }
        let token = token ?? environment["GOLDEN_TOKEN"]
        if let url, let token { return Endpoint(url: url, credential: .token(token)) }
        let record = try StackRecord.require(
            runningIn: folder, missing: " and no \(url == nil ? "--url" : "--token") was given",
            instead: "   Or point at an API: --url URL --token TOKEN")
        if let token { return Endpoint(url: record.apiURL, credential: .token(token), stack: folder) }
        // The stack's secret vouches for its own API only; a token must not travel to another address.
        guard url == nil || url == record.apiURL else {
            throw CLIError(
                .usage, "--url points elsewhere than the stack in \(folder.path), so a token is needed.",
                next: "Give --token or set GOLDEN_TOKEN."
            )
        }
        let secrets = try StackSecrets.require(in: folder)
        return Endpoint(url: record.apiURL, credential: .secret(secrets.jwt, role: role), stack: folder)
    }

    /// Without a slash at the end.
    private static func address(_ text: String) throws(CLIError) -> String {
        guard let url = URL(string: text), let scheme = url.scheme?.lowercased(), ["http", "https"].contains(scheme),
            let host = url.host(), !host.isEmpty
        else {
            throw CLIError(
                .usage, "\(Table.printable(text)) is not the address of an API.", kept: "Nothing was sent.",
                next: "Give --url or GOLDEN_URL such as http://127.0.0.1:8080."
            )
        }
        return text.hasSuffix("/") ? String(text.dropLast()) : text
    }
}
