internal import Contracts
internal import Postgres

/// Keeps what reviews said of prompts, in the transaction that applies the decision.
struct KeepPromptReviews: PostgresStatement {
    let reviews: [(task: TaskRecord, review: PromptReview)]

    static let sql = """
        INSERT INTO prompt_reviews (
            session_id, tenant_id, task_id, attempt, round, agent_role, prompt_version, decision, sent_back, decided_at
        )
        SELECT * FROM unnest(
            $1::uuid[], $2::text[], $3::uuid[], $4::int8[], $5::int8[], $6::text[], $7::int8[], $8::text[], $9::bool[],
            $10::timestamptz[]
        )
        ON CONFLICT (session_id) DO NOTHING
        """

    func bind(to bindings: inout PostgresBindings) {
        let tasks = reviews.map(\.task)
        let reviews = reviews.map(\.review)
        bindings.uuids(reviews.map(\.session.uuid))
        bindings.texts(tasks.map { $0.tenant.text })
        bindings.uuids(tasks.map { $0.id.uuid })
        bindings.ints(reviews.map(\.attempt))
        bindings.ints(reviews.map(\.round))
        bindings.texts(reviews.map { $0.role.text })
        bindings.ints(reviews.map(\.version))
        bindings.texts(reviews.map { $0.status.rawValue })
        bindings.bools(reviews.map(\.isSentBack))
        bindings.timestamps(tasks.map(\.updatedAt))
    }
}
