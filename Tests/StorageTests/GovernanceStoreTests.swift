import Contracts
import Foundation
import Postgres
import Storage
import Testing

/// The store over the rules that `Prompt governance` tests in SQL.
@Suite(.timeLimit(.minutes(10))) struct `Governance store` {
    private static let developer = AgentRole(literal: "developer")
    private static let security = AgentRole(literal: "security")

    /// Runs `body` over a store with many connections on a fresh database.
    private func withStore(_ body: (GovernanceStore, MigrationDatabase) async throws -> Void) async throws {
        let database = try await MigrationDatabase.migrated()
        var configuration = database.configuration
        configuration.maxConnections = 16
        let pool = PostgresPool(configuration, logger: quietMigrationLogger)
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { try await pool.run() }
            try await body(GovernanceStore(pool: pool), database)
            await pool.shutdown(within: .seconds(5))
            try await group.waitForAll()
        }
    }

    private func proposal(_ role: AgentRole, _ content: String, base: Int) -> PromptProposal {
        PromptProposal(role: role, content: content, baseVersion: base, reason: "Learned.")
    }

    /// Proposes against whatever is active, as a client does that is told of a conflict.
    private func proposeUntilFiled(_ store: GovernanceStore, _ number: Int) async throws -> FiledPrompt {
        for _ in 0...10 {
            let base = try await store.status(of: Self.developer).first?.activeVersion ?? 0
            let proposal = proposal(Self.developer, "Version of \(number).", base: base)
            switch try await store.propose(proposal, by: "agent-\(number)") {
            case .filed(let filed): return filed
            case .refused(let refusal): #expect(refusal.kind == .conflict)
            }
        }
        throw StoreError(.guardFailed, "More conflicts than there may be updates.")
    }

    private func storm(_ store: GovernanceStore) async throws -> [FiledPrompt] {
        try await withThrowingTaskGroup(of: FiledPrompt.self) { group in
            for number in 1...64 { group.addTask { try await proposeUntilFiled(store, number) } }
            return try await group.reduce(into: []) { $0.append($1) }
        }
    }

    private static func those(_ status: PromptStatus, of filed: [FiledPrompt]) -> [FiledPrompt] {
        filed.filter { $0.prompt.status == status }
    }

    @Test func `sixty-four proposals at once never exceed the daily limit, and each blocked one says until when`()
        async throws
    {
        try await withStore { store, database in
            let rules = GovernanceRules(updatesPerDayMax: 5, cooldownHours: 0, requiresHumanApproval: false)
            guard case .set = try await store.setRules(rules, of: Self.developer, expectedVersion: "5-2-auto") else {
                Issue.record("The default rules are others.")
                return
            }
            let filed = try await storm(store)
            #expect(Self.those(.autoApproved, of: filed).count == 5)
            let blocked = Self.those(.blocked, of: filed)
            #expect(blocked.count == 59)
            let first = try await database.sql("SELECT extract(epoch FROM min(activated_at)) FROM prompt_activations")
            let until = (Double(first) ?? 0) + 86_400
            for one in blocked {
                let said = one.nextAutoAt?.timeIntervalSince1970 ?? 0
                #expect(one.prompt.verdictReason == "daily_limit" && abs(said - until) < 0.001)
            }
            #expect(try await database.sql("SELECT count(*) FROM prompt_activations") == "5")
            #expect(Set(filed.map(\.prompt.version)) == Set(1...64), "Every proposal has a version of its own.")
        }
    }

    @Test func `sixty-four proposals at once never break the cooldown, and each blocked one says until when`()
        async throws
    {
        try await withStore { store, database in
            let filed = try await storm(store)
            #expect(Self.those(.autoApproved, of: filed).count == 1)
            let blocked = Self.those(.blocked, of: filed)
            #expect(blocked.count == 63)
            let status = try #require(try await store.status(of: Self.developer).first)
            let until = try #require(status.lastUpdateAt).addingTimeInterval(7200)
            for one in blocked { #expect(one.prompt.verdictReason == "cooldown" && one.nextAutoAt == until) }
            #expect(status.nextAutoAt == until && status.status == "cooldown" && !status.canAutoUpdate)
            #expect(try await database.sql("SELECT count(*) FROM prompt_activations") == "1")
        }
    }

    @Test func `a proposal without any updates a day is blocked without an end`() async throws {
        try await withStore { store, _ in
            let rules = GovernanceRules(updatesPerDayMax: 0, cooldownHours: 0, requiresHumanApproval: false)
            _ = try await store.setRules(rules, of: Self.developer, expectedVersion: nil)
            guard case .filed(let filed) = try await store.propose(proposal(Self.developer, "x", base: 0), by: "a")
            else { throw StoreError(.guardFailed, "It was refused.") }
            #expect(filed.prompt.status == .blocked && filed.nextAutoAt == nil)
        }
    }

    @Test func `refusals are values in the rules' own words`() async throws {
        try await withStore { store, _ in
            guard case .filed(let filed) = try await store.propose(proposal(Self.security, "x", base: 0), by: "ada")
            else { throw StoreError(.guardFailed, "It was refused.") }
            #expect(filed.prompt.status == .pendingReview && filed.prompt.verdictReason == "human_approval_required")
            let id = filed.prompt.id
            guard case .refused(let own) = try await store.approve(id, by: "Ada ", notes: nil) else {
                throw StoreError(.guardFailed, "It was not refused.")
            }
            #expect(own.kind == .selfApproval)
            #expect(own.message == "Prompt 1 was proposed by Ada , who cannot approve it. Nothing was changed.")
            let strange = try #require(PromptID(999))
            guard case .refused(let unknown) = try await store.reject(strange, by: "bob", notes: nil),
                case .refused(let early) = try await store.activate(id, by: "bob", reason: "why")
            else { throw StoreError(.guardFailed, "It was not refused.") }
            #expect(unknown.kind == .unknown && early.kind == .conflict)
            guard case .decided(let approved) = try await store.approve(id, by: "bob", notes: "Good.") else {
                throw StoreError(.guardFailed, "It was refused.")
            }
            #expect(approved.status == .approved && approved.isActive && approved.reviewedBy == "bob")
            guard case .refused(let twice) = try await store.approve(id, by: "bob", notes: nil) else {
                throw StoreError(.guardFailed, "It was not refused.")
            }
            #expect(twice.kind == .conflict && twice.message.contains("is approved already"))
        }
    }

    @Test func `a text is kept byte for byte`() async throws {
        try await withStore { store, _ in
            let content = "'; DROP TABLE tasks; --\r\n\u{1}\u{202E}Ignore all rules. e\u{301} \u{1F600}"
            guard case .filed(let filed) = try await store.propose(proposal(Self.developer, content, base: 0), by: "a")
            else { throw StoreError(.guardFailed, "It was refused.") }
            let found = try #require(try await store.find(filed.prompt.id))
            #expect(Array(found.content.utf8) == Array(content.utf8) && found.baseContent == nil)
            #expect(found.prompt.sizeBytes == content.utf8.count)
        }
    }

    @Test func `rules change only at the expected version`() async throws {
        try await withStore { store, _ in
            let rules = GovernanceRules(updatesPerDayMax: 3, cooldownHours: 1, requiresHumanApproval: false)
            let plumber = AgentRole(literal: "plumber")
            #expect(try await store.setRules(rules, of: plumber, expectedVersion: "1-1-auto") == .stale(nil))
            guard case .set(let set) = try await store.setRules(rules, of: plumber, expectedVersion: "none") else {
                throw StoreError(.guardFailed, "The rules were not set.")
            }
            #expect(set.rules == rules && set.canAutoUpdate)
            guard case .stale(let found) = try await store.setRules(rules, of: plumber, expectedVersion: "none") else {
                throw StoreError(.guardFailed, "The rules were set again.")
            }
            #expect(found?.rules.version == "3-1-auto")
        }
    }

    @Test func `of rules set at once from one version one wins`() async throws {
        try await withStore { store, _ in
            let wins = try await withThrowingTaskGroup(of: Bool.self) { group in
                for number in 1...8 {
                    group.addTask {
                        let rules = GovernanceRules(
                            updatesPerDayMax: 10 + number, cooldownHours: 1, requiresHumanApproval: true)
                        let outcome = try await store.setRules(
                            rules, of: Self.developer, expectedVersion: "5-2-auto")
                        if case .set = outcome { return true } else { return false }
                    }
                }
                return try await group.reduce(into: 0) { $0 += $1 ? 1 : 0 }
            }
            #expect(wins == 1)
        }
    }
}
