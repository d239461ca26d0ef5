internal import FoundationEssentials

/// The environment `golden` was called with, read here and handed on from there.
enum Caller {
    static var environment: [String: String] { ProcessInfo.processInfo.environment }
}
