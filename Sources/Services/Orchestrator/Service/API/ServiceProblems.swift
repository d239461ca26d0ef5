internal import HTTPEdge
internal import MessageBus
internal import Postgres

/// What the stores' failures mean to a client: the one place where they become HTTP.
enum ServiceProblems {
    static func problem(_ error: any Error) -> Problem? {
        switch error {
        case let error as PostgresError: problem(error)
        case is BusError: Problem(.unavailable, "The message bus does not answer; try again.", retryAfterSeconds: 1)
        default: nil
        }
    }

    private static func problem(_ error: PostgresError) -> Problem? {
        switch error.code {
        case .outcomeUnknown:
            Problem(
                .unavailable,
                "The connection broke while this was being stored, so it may have been. Send it again with the same "
                    + "Idempotency-Key to find out safely.",
                retryAfterSeconds: 1
            )
        case .connectFailed, .connectionLost, .timeout, .poolExhausted, .overloaded, .closed, .deadlock,
            .serializationFailure, .authenticationFailed:
            Problem(.unavailable, "The database does not answer; nothing was stored. Try again.", retryAfterSeconds: 1)
        case .cancelled, .constraintViolation, .invalidData, .sql, .decoding: nil
        }
    }
}
