internal import Contracts
internal import HTTPEdge
internal import HTTPTypes
internal import Storage

/// The routes of dead letters as data: who may call them, what they take and answer.
extension DeadLetterAPI {
    var routes: [Route] {
        let (read, replay) = (Route.Access.require(.dlqRead), Route.Access.require(.dlqReplay))
        return [
            Route(.get, "/dlq", access: read, operation: Self.listOperation, handler: list),
            Route(.get, "/dlq/groups", access: read, operation: Self.groupsOperation, handler: groups),
            Route(.get, "/dlq/{id}", access: read, operation: Self.showOperation, handler: show),
            Route(.post, "/dlq/{id}/resolve", access: replay, operation: Self.resolveOperation, handler: resolve),
            Route(.post, "/dlq/{id}/replay", access: replay, operation: Self.replayOneOperation, handler: replayOne),
            Route(.post, "/dlq/replay", access: replay, operation: Self.replayOperation, handler: replayMany),
            Route(.get, "/dlq/replays", access: read, operation: Self.listReplaysOperation, handler: listReplays),
            Route(.get, "/dlq/replays/{id}", access: read, operation: Self.showReplayOperation, handler: showReplay),
            Route(
                .get, "/dlq/replays/{id}/events", access: read, operation: Self.followOperation, handler: followReplay),
            Route(.post, "/dlq/replays/{id}/stop", access: replay, operation: Self.stopOperation, handler: stop),
            Route(.post, "/dlq/replays/{id}/resume", access: replay, operation: Self.resumeOperation, handler: resume),
        ]
    }

    static let schemas: [(name: String, schema: Schema)] = [
        ("DeadLetterSummary", .object(common)),
        (
            "DeadLetter",
            .object(
                common + [
                    .required("data", .text(), "What was meant for its consumer, exactly."),
                    .required("data_encoding", .choice(["utf8", "base64"])),
                    .required("headers", .map(of: .text())), .required("history", .array(of: .anything)),
                ])
        ),
        ("Replay", replay),
    ]

    private static let common: [Schema.Field] = [
        .required("id", .uuid), .required("original_subject", .text()),
        .required("cause", .text(), "Alike letters share it."), .required("reason", .text()),
        .optional("error", .text()), .required("deliveries", .integer()), .optional("tenant", .name),
        .optional("task_id", .uuid), .optional("stream", .text()), .optional("stream_sequence", .integer()),
        .optional("consumer", .text()), .optional("first_seen", .time), .required("created_at", .time),
        .required("replays", .integer(), "How often it was sent again."), .optional("replayed_at", .time),
        .required("state", .choice(["open", "resolved"])), .optional("resolved_at", .time),
        .optional("resolved_by", .text()), .optional("resolution_notes", .text()),
    ]

    private static let replay = Schema.object([
        .required("id", .uuid), .required("state", .choice(ReplayState.allCases.map(\.rawValue))),
        .required("filter", .object(conditions)), .required("edited", .boolean), .required("rate", .integer()),
        .required("total", .integer(), "Letters that were meant when it began."), .required("replayed", .integer()),
        .required("skipped", .integer(), "Their tasks ended or went on without them; each letter's history says why."),
        .required("requested_by", .text()), .optional("note", .text()), .required("created_at", .time),
        .required("updated_at", .time), .optional("ended_at", .time),
    ])

    private static let word = Schema.text(min: 1, max: DeadLetterFilter.textBytesMax)
    private static let conditions: [Schema.Field] = [
        .optional("subject", word, "The original subject, or its beginning and `>`."), .optional("reason", word),
        .optional("cause", word), .optional("task", .uuid), .optional("before", .time), .optional("since", .time),
        .optional("ids", .array(of: .uuid, max: DeadLetterFilter.idsMax)),
    ]
    private static let parameters = [
        Parameter(.query, "subject", word, "The original subject, or its beginning and `>`."),
        Parameter(.query, "reason", word, "Why it was given up, as a word."),
        Parameter(.query, "cause", word, "One group's."), Parameter(.query, "task", .uuid, "One task's."),
        Parameter(.query, "before", .time, "Filed before this time."),
        Parameter(.query, "since", .time, "Filed at this time or later."),
    ]
    private static let id = Parameter(.path, "id", .uuid, "The dead letter's id.")
    private static let replayID = Parameter(.path, "id", .uuid, "The replay's id.")
    private static let note = Schema.Field.optional("note", .text(min: 1, max: noteMax), "For the record.")
    private static func shown(_ summary: String, _ schema: String) -> [Answer] {
        [Answer(.ok, summary, .json(.named(schema)))]
    }

    private static let listOperation = Operation(
        id: "listDeadLetters", summary: "Lists dead letters, the newest first.", tag: "dead letters",
        parameters: [
            Parameter(.query, "state", .choice(State.allCases.map(\.rawValue)), "Open ones when absent.")
        ] + Parameter.page + parameters,
        answers: [.page("dead_letters", of: "DeadLetterSummary")]
    )

    private static let groupsOperation = Operation(
        id: "groupDeadLetters", summary: "Open dead letters by cause, the largest group first.", tag: "dead letters",
        parameters: parameters,
        answers: [
            Answer(
                .ok, "The groups.",
                .json(
                    .object([
                        .required(
                            "groups",
                            .array(
                                of: .object([
                                    .required("cause", .text()), .required("count", .integer()),
                                    .required("subject", .text(), "With `*` for ids."), .required("reason", .text()),
                                    .optional("error", .text(), "One letter's."), .required("first_at", .time),
                                    .required("last_at", .time),
                                ]), max: DeadLetterStore.groupsMax)),
                        .required("total", .integer(), "Letters in these groups."),
                    ])
                )
            )
        ]
    )

    private static let showOperation = Operation(
        id: "getDeadLetter", summary: "Shows a dead letter: what it said, and its story.", tag: "dead letters",
        parameters: [id], answers: shown("The dead letter.", "DeadLetter"), problems: [.notFound]
    )

    private static let resolveOperation = Operation(
        id: "resolveDeadLetter", summary: "Says that nothing is left to be done about a dead letter.",
        tag: "dead letters", parameters: [id],
        body: Body(.object([.required("notes", .text(min: 1, max: notesMax), "Why.")])),
        answers: shown("The dead letter.", "DeadLetter"), problems: [.notFound, .conflict]
    )

    private static let replayOneOperation = Operation(
        id: "replayDeadLetter",
        summary: "Sends a dead letter again, edited if a payload is given. Work of a task that has ended becomes one "
            + "new task, with the payload's input if one is given, that names the old one in its label replay_of.",
        tag: "dead letters", parameters: [id],
        body: Body(
            .object([
                .optional(
                    "payload", .object([.required("v", .integer(1...1))], isOpen: true),
                    "Sent instead; its tenant, if it names one, is the letter's."), note,
            ]), isRequired: false),
        answers: [
            Answer(.ok, "It is done.", .json(.named("Replay"))),
            Answer(.accepted, "A worker will do it, or the new task was accepted.", .json(.anything)),
        ],
        problems: [.notFound, .conflict, .budgetExhausted]
    )

    private static let replayOperation = Operation(
        id: "replayDeadLetters", summary: "Sends all open dead letters again that meet the conditions.",
        tag: "dead letters",
        body: Body(
            .object(
                conditions + [
                    .optional("everything", .boolean, "Must be true when no condition is given."),
                    .optional("dry_run", .boolean, "Count them and show some; send nothing."),
                    .optional("rate", .integer(rateRange), "Letters a second, \(rateDefault) when absent."), note,
                ])),
        answers: [
            Answer(.accepted, "A worker carries it out.", .json(.named("Replay"))),
            Answer(
                .ok, "A dry run: what is meant.",
                .json(
                    .object([
                        .required("dry_run", .boolean), .required("total", .integer()),
                        .required("sample", .array(of: .named("DeadLetterSummary"), max: sampleMax)),
                    ]))
            ),
        ]
    )

    private static let listReplaysOperation = Operation(
        id: "listReplays", summary: "Lists the tenant's replays, the newest first.", tag: "dead letters",
        answers: [
            Answer(
                .ok, "The replays.",
                .json(.object([.required("replays", .array(of: .named("Replay"), max: replaysMax))])))
        ]
    )

    private static let showReplayOperation = Operation(
        id: "getReplay", summary: "Shows how far a replay has come.", tag: "dead letters", parameters: [replayID],
        answers: shown("The replay.", "Replay"), problems: [.notFound]
    )

    private static let followOperation = Operation(
        id: "followReplay", summary: "A replay's progress as server-sent events, each the replay as it then stands.",
        tag: "dead letters",
        parameters: [replayID, Parameter(.header, "Last-Event-ID", .integer(), "The last event the client has.")],
        answers: [
            Answer(.ok, "The replay, or its events.", .jsonOrText(.named("Replay"), EventStream.contentType)),
            Answer(.noContent, "The client of a stream has the last event of a replay that is not running.", .none),
        ],
        problems: [.notFound, .invalidHeader, .unavailable]
    )

    private static let stopOperation = Operation(
        id: "stopReplay", summary: "Stops a replay; what was sent stays sent.", tag: "dead letters",
        parameters: [replayID], answers: shown("The replay.", "Replay"), problems: [.notFound, .conflict]
    )

    private static let resumeOperation = Operation(
        id: "resumeReplay", summary: "Lets a stopped replay go on where it was.", tag: "dead letters",
        parameters: [replayID], answers: shown("The replay.", "Replay"), problems: [.notFound, .conflict]
    )
}
