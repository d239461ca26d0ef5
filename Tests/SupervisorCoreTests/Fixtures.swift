import Contracts
import FoundationEssentials

let acme = TenantID(literal: "acme")
let developer = AgentRole(literal: "developer")
let tester = AgentRole(literal: "tester")
let supervisor = AgentRole(literal: "supervisor")
let epoch = Date(timeIntervalSince1970: 1_800_000_000)
let everyone: Set<AgentRole> = [developer, tester, supervisor, AgentRole(literal: "reviewer")]

let missingTests = "After 3 rounds of rework this still fails: has_tests."
let tooSlow = "deadline_exceeded: No result came within 60 s of dispatch. (after 5 attempts)"
let usedUp = "busy: the model is overloaded (after 5 attempts)"
let gaveUp = "no_such_file: there is no file"

func before(
    _ source: String, _ reason: String, guard failed: Guard? = nil, isAutomatic: Bool = false,
    filedAs: EscalationCause.Classification? = nil
) -> EscalationCase.Earlier {
    EscalationCase.Earlier(
        source: source, failedGuard: failed, classification: filedAs, reason: reason, resolution: "rework",
        isAutomatic: isAutomatic)
}

func escalation(
    _ source: String, _ reason: String, guard failed: Guard? = nil, role: AgentRole? = developer,
    earlier: [EscalationCase.Earlier] = [], budgetLeft: Int? = nil, timeout: Int = 60,
    online: Set<AgentRole> = everyone, filedAs: EscalationCause.Classification? = nil
) -> EscalationCase {
    EscalationCase(
        id: EscalationID(TaskID(at: epoch, random: (1, 2)).uuid), tenant: acme, task: TaskID(at: epoch, random: (3, 4)),
        attempt: 4, role: role, source: source, reason: reason, failedGuard: failed, filedAs: filedAs, rework: 3,
        traceparent: nil, createdAt: epoch, earlier: earlier, budgetLeft: budgetLeft, timeoutSeconds: timeout,
        rolesOnline: online
    )
}

func json(_ text: String) throws -> JSON { try JSON(parsing: text.utf8) }
