internal import Contracts
internal import HTTPEdge
internal import HTTPTypes
internal import Storage

/// The review routes as data: who may call them, what they take and answer.
extension ReviewAPI {
    var routes: [Route] {
        [
            Route(.get, "/reviews", access: .require(.reviewRead), operation: Self.listOperation, handler: list),
            Route(
                .get, "/reviews/{session}", access: .require(.reviewRead), operation: Self.showOperation, handler: show
            ),
            Route(
                .get, "/reviews/{session}/impact", access: .require(.reviewRead), operation: Self.impactOperation,
                handler: impact
            ),
            Route(
                .post, "/reviews/{session}/votes", access: .require(.reviewVote), operation: Self.voteOperation,
                handler: vote
            ),
            Route(
                .get, "/tasks/{id}/reviews", access: .require(.reviewRead), operation: Self.taskOperation,
                handler: ofTask
            ),
        ]
    }

    static let schemas: [(name: String, schema: Schema)] = [
        ("ReviewSummary", .object(common)),
        (
            "Review",
            .object(
                common + [
                    .required("votes", .array(of: vote)),
                    .optional("explanation", .anything, "Why it was decided so; computed from the votes alone."),
                ])
        ),
    ]

    private static let common: [Schema.Field] = [
        .required("id", .uuid), .required("tenant", .name), .required("task_id", .uuid),
        .required("attempt", .integer()), .required("round", .integer(), "Counts the task's reviews from 1."),
        .required("status", .choice(ReviewStatus.allCases.map(\.rawValue))), .required("author", .text()),
        .required("author_owner", .text()), .required("artifact_sha256", .text(), "What is reviewed."),
        .required("quorum", .number, "The share of weight_total that approves."),
        .required("weight_total", .number, "The sum of all reviewers' weights, whoever votes."),
        .required("reviewers", .array(of: .object([.required("role", .name), .required("weight", .number)]))),
        .required("opened_at", .time), .required("deadline", .time), .optional("score", .number),
        .optional("decided_at", .time),
    ]

    private static let vote = Schema.object([
        .required("role", .name), .required("reviewer", .text()), .required("owner", .text()),
        .required("vote", choice), .required("weight", .number), .required("rationale", .text()),
        .required("concerns", .array(of: .anything)), .required("voted_at", .time),
    ])

    private static let choice = Schema.choice(VoteChoice.allCases.map(\.rawValue))
    private static let choiceOrNone = Schema.choice(VoteChoice.allCases.map(\.rawValue) + [ReviewView.none])
    private static let session = Parameter(.path, "session", .uuid, "The review's id.")

    private static let listOperation = Operation(
        id: "listReviews", summary: "Lists the tenant's reviews, newest first.", tag: "reviews",
        parameters: [
            Parameter(
                .query, "status", .choice(ReviewStatus.allCases.map(\.rawValue)), "Only with this status.")
        ] + Parameter.page,
        answers: [.page("reviews", of: "ReviewSummary")]
    )

    private static let showOperation = Operation(
        id: "getReview", summary: "Shows a review: who voted what with which weight, and why it was decided so.",
        tag: "reviews", parameters: [session], answers: [Answer(.ok, "The review.", .json(.named("Review")))],
        problems: [.notFound]
    )

    private static let taskOperation = Operation(
        id: "listTaskReviews", summary: "Shows the rounds of a task's review, the first first.", tag: "reviews",
        parameters: [Parameter(.path, "id", .uuid, "The task's id.")],
        answers: [
            Answer(
                .ok, "The rounds.", .json(.object([.required("reviews", .array(of: .named("Review"), max: roundsMax))]))
            )
        ],
        problems: [.notFound]
    )

    private static let impactOperation = Operation(
        id: "getReviewImpact",
        summary: "What if: how the review would stand with another vote of one reviewer and the others as they are.",
        tag: "reviews",
        parameters: [
            session,
            Parameter(.query, "agent", .text(max: 200), "A reviewer by name or role; all of them when absent."),
        ],
        answers: [
            Answer(
                .ok, "The alternatives.",
                .json(
                    .object([
                        .required("session_id", .uuid),
                        .required("status", .choice(ReviewStatus.allCases.map(\.rawValue))),
                        .required(
                            "impacts",
                            .array(
                                of: .object([
                                    .required("role", .name), .optional("reviewer", .text()),
                                    .required("weight", .number), .required("vote", choiceOrNone),
                                    .required("decisive", .boolean, "Whether this vote can make a difference."),
                                    .required(
                                        "alternatives",
                                        .array(
                                            of: .object([
                                                .required("vote", choiceOrNone), .required("status", .text()),
                                                .required("score", .number),
                                            ]))),
                                ]))),
                    ])
                )
            )
        ],
        problems: [.notFound]
    )

    private static let voteOperation = Operation(
        id: "castVote",
        summary: "Votes for a role, once and for good. The voter is the token's subject; an agent votes in roles it "
            + "announced. The same vote again changes nothing.",
        tag: "reviews", parameters: [session],
        body: Body(
            .object([
                .required("role", .name, "Whose seat it is."), .required("vote", choice),
                .required("artifact_sha256", .text(min: 64, max: 64), "What was looked at."),
                .optional("rationale", .nullable(.text(max: ReviewOpinion.rationaleBytesMax))),
                .optional("concerns", .nullable(.array(of: .anything, max: ReviewOpinion.concernsMax))),
            ])
        ),
        answers: [
            Answer(.created, "Counted.", .json(.named("Review"))),
            Answer(
                .ok, "Counted before.", .json(.named("Review")), headers: [("Idempotent-Replayed", .text())]),
        ],
        problems: [.notFound, .conflict]
    )
}
