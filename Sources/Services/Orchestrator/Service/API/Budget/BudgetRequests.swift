internal import Contracts
internal import FoundationEssentials
internal import HTTPEdge
internal import HTTPTypes
internal import Hummingbird
internal import Storage

/// The bodies of the budget routes, checked. Every error names the field.
enum BudgetRequests {
    static let amountRange = 1...BudgetAccount.tokensMax
    static let actualRange = 0...BudgetAccount.tokensMax

    /// `POST /budget/request`: `tokens`, or the same under the name `amount`.
    static func reservation(_ json: JSON, by principal: Principal) throws(JSONError) -> ReservationRequest {
        var body = try JSONReader(json)
        let key = try key(in: &body, of: principal.tenant)
        let tokens = try bounded("tokens", amountRange, in: &body)
        let amount = try bounded("amount", amountRange, in: &body)
        let seconds = try bounded("ttl_seconds", ReservationRequest.secondsRange, in: &body)
        var task: TaskID?
        if let text = try body.optionalString("task_id") {
            guard let id = TaskID(text) else { throw body.error("task_id", "must be a task's id") }
            task = id
        }
        try body.refuseUnknown()
        guard let asked = tokens ?? amount else { throw body.error("tokens", "is required") }
        guard tokens == nil || amount == nil else { throw body.error("amount", "says the same as tokens; send one") }
        return ReservationRequest(
            key: key, amount: asked, timeToLiveSeconds: seconds ?? ReservationRequest.secondsDefault, task: task,
            principal: principal.subject
        )
    }

    /// `POST /budget/commit`.
    static func commit(
        _ json: JSON, by principal: Principal
    ) throws(JSONError) -> (key: Reservation.Key, actual: Int) {
        var body = try JSONReader(json)
        let key = try key(in: &body, of: principal.tenant)
        guard let actual = try bounded("actual", actualRange, in: &body) else {
            throw body.error("actual", "is required")
        }
        try body.refuseUnknown()
        return (key, actual)
    }

    /// `POST /budget/release`.
    static func release(_ json: JSON, by principal: Principal) throws(JSONError) -> Reservation.Key {
        var body = try JSONReader(json)
        let key = try key(in: &body, of: principal.tenant)
        try body.refuseUnknown()
        return key
    }

    /// `PUT /budget/limits`.
    static func limit(
        _ json: JSON, by principal: Principal
    ) throws(JSONError) -> (account: BudgetAccount.Key, totalLimit: Int) {
        var body = try JSONReader(json)
        let project: ProjectID = try body.name("project")
        guard let limit = try bounded("total_limit", actualRange, in: &body) else {
            throw body.error("total_limit", "is required")
        }
        try body.refuseUnknown()
        return (BudgetAccount.Key(tenant: principal.tenant, project: project), limit)
    }

    private static func key(in body: inout JSONReader, of tenant: TenantID) throws(JSONError) -> Reservation.Key {
        let text = try body.string("request_id")
        guard let request = BudgetRequestID(text) else {
            throw body.error("request_id", "must be 1 to \(BudgetRequestID.lengthMax) visible ASCII characters")
        }
        guard !request.isTasks else {
            throw body.error("request_id", "must not begin with \"task:\": the end of the task settles that hold")
        }
        let project: ProjectID? = try body.optionalName("project")
        return Reservation.Key(
            tenant: tenant, project: project ?? TaskSubmission.projectDefault, request: request)
    }

    private static func bounded(
        _ field: String, _ range: ClosedRange<Int>, in body: inout JSONReader
    ) throws(JSONError) -> Int? {
        guard let value = try body.optionalInt(field) else { return nil }
        guard range.contains(value) else {
            throw body.error(field, "must be from \(range.lowerBound) to \(range.upperBound)")
        }
        return value
    }
}
