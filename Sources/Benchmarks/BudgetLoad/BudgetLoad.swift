internal import ArgumentParser
internal import Contracts
internal import Foundation
internal import Logging
internal import Postgres
internal import Storage
internal import Synchronization

/// Reserves on one account through `BudgetStore`, as an orchestrator does, for `scripts/bench budget`.
///
/// Prints `{"reserved", "seconds_thousandths", "p50_microseconds", "p99_microseconds"}`. The database's
/// address is in `GOLDEN_POSTGRES_URL`; the account is opened when it is missing.
@main
struct BudgetLoad: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "budget-load", abstract: "Reserve on one account as fast as the store takes it.")

    @Option(help: "Callers at a time.") var callers = 256
    @Option(help: "How long.") var seconds = 10
    @Option(help: "The account's project.") var project = "bench"
    @Option(help: "Prefix of the request ids.") var run = "store"

    private static let limit = 1_000_000_000_000
    /// Connections, as many as an orchestrator has by default.
    private static let connections = 6

    func run() async throws {
        guard let url = ProcessInfo.processInfo.environment["GOLDEN_POSTGRES_URL"], let project = ProjectID(project)
        else { throw ValidationError("GOLDEN_POSTGRES_URL and --project name a database and an account in it.") }
        var configuration = PostgresConfiguration(connectionString: url, applicationName: "golden-budget-load")
        configuration.maxConnections = Self.connections
        let pool = PostgresPool(configuration, logger: Logger(label: "budget-load"))
        let account = BudgetAccount.Key(tenant: TenantID(literal: "default"), project: project)
        let report = try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { try await pool.run() }
            let store = BudgetStore(pool: pool)
            _ = try await store.setLimit(
                account, totalLimit: Self.limit, expectedVersion: nil, principal: "budget-load")
            let report = try await reserve(on: account, through: store)
            await store.shutdown()
            await pool.shutdown(within: .seconds(5))
            group.cancelAll()
            return report
        }
        print(report.text)
    }

    private func reserve(on account: BudgetAccount.Key, through store: BudgetStore) async throws -> JSON {
        let start = ContinuousClock.now
        let end = start + .seconds(seconds)
        let latencies = try await withThrowingTaskGroup(of: [Duration].self) { group in
            for caller in 0..<callers {
                group.addTask { try await Self.reserve(until: end, on: account, "\(run)-\(caller)", through: store) }
            }
            return try await group.reduce(into: []) { $0 += $1 }.sorted()
        }
        let took = (ContinuousClock.now - start) / .milliseconds(1) / 1000
        return JSONWriter.object { writer in
            writer.field("reserved", latencies.count)
            writer.field("seconds_thousandths", Int(took * 1000))
            writer.field("p50_microseconds", Int(latencies[latencies.count / 2] / .microseconds(1)))
            writer.field("p99_microseconds", Int(latencies[latencies.count * 99 / 100] / .microseconds(1)))
        }
    }

    /// One caller: a new reservation as soon as the last is held.
    private static func reserve(
        until end: ContinuousClock.Instant, on account: BudgetAccount.Key, _ name: String, through store: BudgetStore
    ) async throws -> [Duration] {
        var latencies: [Duration] = []
        while ContinuousClock.now < end {
            guard let id = BudgetRequestID("\(name)-\(latencies.count)") else { break }
            let key = Reservation.Key(tenant: account.tenant, project: account.project, request: id)
            let asked = ContinuousClock.now
            let outcome = try await store.reserve(ReservationRequest(key: key, amount: 1, principal: "budget-load"))
            guard case .reserved = outcome else { throw ValidationError("A reservation was not held: \(outcome)") }
            latencies.append(ContinuousClock.now - asked)
        }
        return latencies
    }
}
