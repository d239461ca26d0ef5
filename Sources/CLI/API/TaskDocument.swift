internal import Contracts
internal import FoundationEssentials

/// A task as the API shows it. Fields this build does not know stay in `json`.
struct TaskDocument: Sendable {
    let json: JSON
    let id: TaskID
    /// Kept as text: a newer server may know more states.
    let state: String
    let name: String?
    let workflow: String
    let role: String?
    let attempt: Int
    let attemptMax: Int?
    let createdAt: Date?
    let updatedAt: Date?
    let endedAt: Date?
    let output: JSON?
    let errorCode: String?
    let errorMessage: String?
    let rework: Int
    /// Its reviews, the first first.
    let reviews: [Review]

    struct Review: Sendable {
        let session: String
        let round: Int
        let status: String
        /// Why it was decided so, once it is.
        let summary: String?
    }

    init(json: JSON) throws(CLIError) {
        do {
            var reader = try JSONReader(json)
            self.json = json
            id = try reader.taskID("id")
            state = try reader.string("state")
            name = try reader.optionalString("name")
            workflow = try reader.optionalString("workflow") ?? "-"
            role = try reader.optionalString("role")
            attempt = try reader.optionalInt("attempt") ?? 0
            attemptMax = try reader.optionalInt("max_attempts")
            createdAt = try reader.optionalString("created_at").flatMap(Timestamp.date)
            updatedAt = try reader.optionalString("updated_at").flatMap(Timestamp.date)
            endedAt = try reader.optionalString("ended_at").flatMap(Timestamp.date)
            output = reader.optional("output")
            var failure = try reader.optionalObject("error")
            errorCode = try failure?.optionalString("code")
            errorMessage = try failure?.optionalString("message")
            rework = try reader.optionalInt("rework") ?? 0
            reviews = try (reader.optionalArray("reviews") ?? []).map { json throws(JSONError) in
                var review = try JSONReader(json)
                return Review(
                    session: try review.string("session_id"), round: try review.int("round"),
                    status: try review.string("status"), summary: try review.optionalString("summary")
                )
            }
        } catch {
            throw CLIError(
                .badAnswer, "The API's answer is not a task.", next: "Check that --url is a Golden API.",
                underlying: error
            )
        }
    }

    /// What the ended task means for the exit code; nil while it goes on.
    var exitStatus: ExitStatus? {
        switch TaskState(rawValue: state) {
        case .completed: .success
        case .failed: .taskFailed
        case .canceled: .taskCanceled
        case .rejected: .taskRejected
        default: nil
        }
    }

    /// Seconds from acceptance to the end, or to `now`.
    func ageSeconds(now: Date) -> Double? { createdAt.map { (endedAt ?? now).timeIntervalSince($0) } }

    static func style(of state: String) -> Console.Style? {
        switch TaskState(rawValue: state) {
        case .completed: .green
        case .failed, .rejected: .red
        case .canceled, .canceling, .escalated, .awaitingApproval: .yellow
        case .queued: .dim
        case .developing, .testing, .reviewing, .deploying: .cyan
        case nil: nil
        }
    }
}
