internal import Contracts

/// A problem document (RFC 9457) as the API answers it.
struct Problem: Sendable, Equatable {
    let status: Int
    let code: String
    let title: String
    let detail: String
    /// Field and message of each.
    let errors: [[String]]
    var retryAfterSeconds: Int?

    /// Anything the server may answer with: what is no problem document is told by its status alone.
    init(status: Int, body: [UInt8], retryAfterSeconds: Int? = nil) {
        self.status = status
        self.retryAfterSeconds = retryAfterSeconds
        let reader: JSONReader?
        do { reader = try JSONReader(try JSON(parsing: body)) } catch { reader = nil }
        guard var reader else {
            (code, title, detail, errors) = ("http_\(status)", "HTTP \(status)", "", [])
            return
        }
        code = reader.optional("code")?.string ?? "http_\(status)"
        title = reader.optional("title")?.string ?? "HTTP \(status)"
        detail = reader.optional("detail")?.string ?? ""
        errors = (reader.optional("errors")?.array ?? []).map { entry in
            let fields = entry.fields ?? []
            return ["field", "message"].map { name in fields.first { $0.name == name }?.value.string ?? "" }
        }
    }

    /// What happened, what was kept, what to do next.
    /// - Parameters:
    ///   - wrote: the request was to change something.
    ///   - idempotencyKey: what it was sent with.
    func error(wrote: Bool, idempotencyKey: String? = nil) -> CLIError {
        var lines = [detail.isEmpty ? "\(title) (\(code))" : "\(title): \(detail) (\(code))"]
        lines += errors.map { "  \($0[0]): \($0[1])" }
        return CLIError(
            .refused, lines.map(Table.printable).joined(separator: "\n"), kept: wrote ? kept(idempotencyKey) : nil,
            next: next, isTransient: status == 429 || status >= 500
        )
    }

    private func kept(_ key: String?) -> String? {
        switch status {
        // Said already.
        case 400..<500 where detail.hasSuffix("Nothing was changed."): nil
        case 400..<500: "Nothing was changed."
        default:
            "It is not known whether the request took effect; "
                + (key.map { "its Idempotency-Key \($0) makes a retry safe." } ?? "look before you repeat it.")
        }
    }

    private var next: String? {
        switch status {
        case 401: "Get a token: golden token --role developer --tenant default"
        case 403 where code == "self_approval": "Have somebody else approve it, with a token of their own."
        case 403: "Use a token whose role may do this: golden token --role operator --tenant default"
        case 404 where !detail.contains("task"): nil
        case 404: "golden tasks list shows the tasks of this token's tenant."
        case 413: "Send less: the body must stay below 1 MiB."
        case 409: nil
        case 429: "Try again in \(retryAfterSeconds ?? 60) s."
        case 422, 400: "Correct what is named; the command's --help shows an example."
        case 500...: "golden status shows which part is unwell, golden logs NAME what it wrote."
        default: nil
        }
    }
}
