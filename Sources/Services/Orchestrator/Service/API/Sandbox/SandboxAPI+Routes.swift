internal import Contracts
internal import HTTPEdge
internal import HTTPTypes

/// The sandbox's routes as data: who may call them, what they take and answer.
extension SandboxAPI {
    var routes: [Route] {
        [
            Route(
                .post, "/sandbox/execute", access: .require(.sandboxExecute), rateLimit: .byHandler,
                operation: Self.executeOperation, handler: execute
            ),
            Route(
                .get, "/sandbox/executions/{id}", access: .require(.sandboxRead), operation: Self.showOperation,
                handler: show
            ),
            Route(
                .get, "/sandbox/executions/{id}/events", access: .require(.sandboxRead),
                operation: Self.eventsOperation, handler: events
            ),
            Route(
                .post, "/sandbox/executions/{id}/cancel", access: .require(.sandboxCancel),
                operation: Self.cancelOperation, handler: cancel
            ),
        ]
    }

    static let schemas: [(name: String, schema: Schema)] = [
        ("Execution", .object(execution)), ("SandboxProgram", .object(program)),
    ]

    private static let file = Schema.object([
        .required("path", .text(min: 1, max: SandboxProgram.pathBytesMax)), .optional("content", .nullable(.text())),
        .optional("base64", .nullable(.text()), "In place of content."),
    ])

    static let limits = Schema.object(
        SandboxLimits.fields.map { .optional($0.name, .nullable(.integer($0.range))) })

    private static let program: [Schema.Field] = [
        .optional("language", .nullable(.name), "An id or alias; \(SandboxProgram.languageDefault) when absent."),
        .optional("code", .nullable(.text(max: SandboxProgram.codeBytesMax)), "The program; or files."),
        .optional(
            "files", .nullable(.array(of: file, max: SandboxProgram.filesMax)),
            "The program's files below /code; one bears the language's name for the main file, such as main.py."),
        .optional(
            "test", .nullable(.boolean),
            "Instead of the main file the tests among the files are run, as the language finds them; code 5 when there "
                + "are none."),
        .optional(
            "inputs", .nullable(.array(of: file, max: SandboxProgram.filesMax)), "Files below /box, where it starts."),
        .optional("argv", .nullable(.array(of: .text(), max: SandboxProgram.argumentsMax))),
        .optional("stdin", .nullable(.text(max: SandboxProgram.stdinBytesMax))),
        .optional("stdin_base64", .nullable(.text()), "In place of stdin."),
        .optional(
            "env", .nullable(.map(of: .text(), names: "^[A-Za-z_][A-Za-z0-9_]*$", max: SandboxProgram.variablesMax))),
        .optional("limits", .nullable(limits)),
        .optional(
            "artifacts", .nullable(.array(of: .text(), max: SandboxProgram.artifactsMax)),
            "Files or folders below /box to bring back."),
    ]

    private static let output = Schema.object([
        .required("encoding", .choice(["utf8", "base64"])), .required("data", .text(), "The beginning."),
        .optional("tail", .text(), "The end, when something was cut before it."),
        .required("bytes_total", .integer()), .required("bytes_cut", .integer()), .required("truncated", .boolean),
    ])

    private static let execution: [Schema.Field] = [
        .required("id", .uuid), .required("tenant", .name), .required("caller", .text()),
        .optional("task_id", .uuid), .optional("attempt", .integer()), .required("language", .text()),
        .required("state", .choice(["queued", "running", "ended"])),
        .required("tries", .integer(), "How often it was begun."), .required("created_at", .time),
        .optional("started_at", .time), .optional("ended_at", .time),
        .optional("status", .choice(SandboxStatus.allCases.map(\.rawValue)), "How it ended."),
        .optional("exit_code", .integer()), .optional("signal", .integer()),
        .optional("step", .choice(["compile"]), "It was not compiled; stderr says why."),
        .optional("error", .object([.required("code", .text()), .required("message", .text())])),
        .optional("stdout", output), .optional("stderr", output),
        .optional(
            "artifacts",
            .array(
                of: .object([
                    .required("name", .text()), .required("bytes", .integer()), .required("sha256", .text()),
                    .optional("content", .text()), .optional("base64", .text(), "In place of content."),
                ]))),
        .optional("artifacts_skipped", .integer()), .optional("artifacts_truncated", .boolean),
        .optional(
            "usage",
            .object([
                .required("wall_ms", .number), .required("cpu_ms", .number), .required("memory_peak_bytes", .integer()),
            ])),
        .optional("processes_limit_hit", .boolean),
        .optional("isolation", .choice(SandboxTier.allCases.map(\.rawValue)), "What contained it."),
        .optional(
            "layers",
            .object([
                .required("cgroup", .text()), .required("landlock", .integer()), .required("warm", .boolean),
            ])),
    ]

    private static let id = Parameter(.path, "id", .uuid, "The execution's id.")

    private static let executeHeaders: [(name: String, schema: Schema)] = [
        ("Location", .text()), ("Idempotent-Replayed", .text()),
    ]

    private static let executeOperation = Operation(
        id: "executeProgram",
        summary: "Runs a program in the sandbox and waits for its end, or answers 202 when it takes longer.",
        tag: "sandbox",
        parameters: [
            Parameter(
                .header, "Prefer", .text(),
                "respond-async answers at once; wait=N waits at most N seconds (\(waitSecondsDefault) by default)."),
            .idempotencyKey("Makes a retry safe: the same key and body are one run with one result."),
        ],
        body: Body(
            .named("SandboxProgram"),
            example: JSONWriter.object { writer in
                writer.field("language", "python")
                writer.field("code", "print(6 * 7)")
            }
        ),
        answers: [
            Answer(.ok, "It has ended, however it did.", .json(.named("Execution")), headers: executeHeaders),
            Answer(
                .accepted, "It waits or runs; look again at Location.", .json(.named("Execution")),
                headers: executeHeaders),
        ],
        problems: [.idempotencyMismatch, .unavailable]
    )

    private static let showOperation = Operation(
        id: "getExecution", summary: "Shows a run and, once it has ended, its result.", tag: "sandbox",
        parameters: [id], answers: [Answer(.ok, "The run.", .json(.named("Execution")))], problems: [.notFound]
    )

    private static let eventsOperation = Operation(
        id: "streamExecutionEvents",
        summary: "Streams start, stdout, stderr and exit of a run, from the beginning or where a client left off.",
        tag: "sandbox",
        parameters: [
            id, Parameter(.query, "after", .integer(0...Int(Int32.max)), "Only events after this number."),
            Parameter(.header, "Last-Event-ID", .integer(), "The same, from clients that connect again."),
        ],
        answers: [
            Answer(
                .ok,
                "The events as they happen; as JSON, those of a run that has ended, "
                    + "\(SandboxEventFeed.pageMax) on a page.",
                .jsonOrText(
                    .object([
                        .required("state", .choice(["queued", "running", "ended"])),
                        .required("events", .array(of: .anything)),
                        .optional("next_after", .integer(), "Absent on the last page."),
                    ]), "text/event-stream")),
            Answer(.noContent, "The client of a stream has the run's last event already.", .none),
        ],
        problems: [.notFound, .unavailable]
    )

    private static let cancelOperation = Operation(
        id: "cancelExecution", summary: "Stops a run. One that waits ends at once.", tag: "sandbox", parameters: [id],
        answers: [
            Answer(.ok, "It has ended.", .json(.named("Execution"))),
            Answer(.accepted, "It is being stopped.", .json(.named("Execution"))),
        ],
        problems: [.notFound, .conflict]
    )
}
