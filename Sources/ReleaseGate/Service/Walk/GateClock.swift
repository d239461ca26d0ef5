package import Foundation

/// What time it is, and waiting: a walk can be walked in virtual time.
package struct GateClock: Sendable {
    package let now: @Sendable () -> Date
    package let sleep: @Sendable (_ until: Date) async throws -> Void

    package init(
        now: @escaping @Sendable () -> Date, sleep: @escaping @Sendable (_ until: Date) async throws -> Void
    ) {
        self.now = now
        self.sleep = sleep
    }

    package static let system = GateClock {
        Date()
    } sleep: { date in
        try await Task.sleep(for: .seconds(max(0, date.timeIntervalSinceNow)))
    }
}
