internal import HTTPEdge
internal import MessageBus
internal import Postgres

/// What the stores' failures mean to a client: the one place where they become HTTP.
enum ServiceProblems {
    static func problem(_ error: any Error, of operation: Operation?) -> Problem? {
        switch error {
        case let error as PostgresError: problem(error, of: operation)
        case is BusError: Problem(.unavailable, "The message bus does not answer; try again.", retryAfterSeconds: 1)
        default: nil
        }
    }

    private static func problem(_ error: PostgresError, of operation: Operation?) -> Problem? {
        switch error.code {
        case .outcomeUnknown:
            Problem(
                .unavailable,
                "The connection broke while this was being stored, so it may have been. "
                    + (operation?.takesIdempotencyKey == true
                        ? "Send it again with the same Idempotency-Key to find out safely."
                        : "Look whether it was before you send it again."),
                retryAfterSeconds: 1
            )
        case .connectFailed, .connectionLost, .timeout, .poolExhausted, .overloaded, .closed, .deadlock,
            .serializationFailure, .authenticationFailed:
            Problem(.unavailable, "The database does not answer; nothing was stored. Try again.", retryAfterSeconds: 1)
        case .cancelled, .constraintViolation, .invalidData, .sql, .decoding: nil
        }
    }
}
