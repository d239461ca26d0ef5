/// Sorts the server's SQLSTATEs (Postgres manual, appendix A) into the driver's codes.
enum SQLState {
    static let adminShutdown = "57P01"
    static let featureNotSupported = "0A000"
    static let invalidStatementName = "26000"
    static let queryCancelled = "57014"
    static let readOnlyTransaction = "25006"
    static let lockNotAvailable = "55P03"

    /// - Parameter interruption: why this side asked the server to cancel, if it did.
    static func code(_ state: String, interruption: Interruption.Reason?) -> PostgresError.Code {
        switch state {
        case queryCancelled: interruption?.code ?? .timeout
        case lockNotAvailable: .timeout
        case "40001": .serializationFailure
        case "40P01": .deadlock
        case adminShutdown, "57P02", "57P03", "57P05", "25P03", "08000", "08003", "08006": .connectionLost
        case "08001", "08004": .connectFailed
        default:
            switch state.prefix(2) {
            case "22": .invalidData
            case "23": .constraintViolation
            case "28": .authenticationFailed
            // No disk, no memory, no connection left: it is not the statement's fault.
            case "53": .overloaded
            default: .sql
            }
        }
    }

    /// True when the cached plan no longer fits the tables, or the server forgot the prepared statement.
    static func asksForNewPlan(_ state: String?) -> Bool {
        state == featureNotSupported || state == invalidStatementName
    }

    /// What the reader of an error of this code should do next.
    static func advice(_ code: PostgresError.Code) -> String {
        switch code {
        case .timeout: "It was stopped and nothing of it was kept; try again later or with more time."
        case .cancelled: "It was stopped and nothing of it was kept."
        case .serializationFailure, .deadlock: "Nothing was kept; run the transaction again."
        case .connectionLost: "Nothing was kept; the pool reconnects, call again."
        case .constraintViolation, .invalidData: "Nothing was kept; correct the data."
        case .connectFailed: "Nothing was sent; check that the server is up."
        case .authenticationFailed: "Check the user, password and access rules."
        case .outcomeUnknown: "Read the rows back before writing again."
        case .poolExhausted, .overloaded: "Nothing was kept; try again later."
        case .sql, .decoding: "Nothing was kept; correct the statement."
        case .closed: "Nothing was sent."
        }
    }
}
