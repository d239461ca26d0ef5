internal import Contracts

/// The body of a submission, checked before it is sent so that mistakes are told at once.
struct SubmissionFile {
    /// The API's own limit.
    static let bytesMax = 1 << 20

    /// `-` is standard input.
    let path: String

    /// - Throws: `usage` with the name of the field that is wrong.
    func body(role: String?, name: String?, budget: Int? = nil) throws(CLIError) -> JSON {
        let bytes = try InputFile.read(path, bytesMax: Self.bytesMax)
        do throws(JSONError) {
            let body = try Self.overridden(try JSON(parsing: bytes), role, name, budget)
            _ = try TaskSubmission(json: body)
            return body
        } catch {
            throw CLIError(
                .usage, "\(path == "-" ? "Standard input" : path) is no submission: \(error)",
                kept: "Nothing was sent.",
                next: "golden submit --help shows an example."
            )
        }
    }

    private static func overridden(
        _ json: JSON, _ role: String?, _ name: String?, _ budget: Int?
    ) throws(JSONError) -> JSON {
        let given = [role.map { _ in "role" }, name.map { _ in "name" }, budget.map { _ in "budget_tokens" }]
        guard let fields = json.fields else {
            throw JSONError(.wrongShape, "expected an object such as {\"input\": {…}}")
        }
        return JSONWriter.object { writer in
            for field in fields where !given.contains(field.name) { writer.field(field.name, field.value) }
            writer.field(ifPresent: "role", role)
            writer.field(ifPresent: "name", name)
            writer.field(ifPresent: "budget_tokens", budget)
        }
    }
}
