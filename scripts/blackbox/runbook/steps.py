"""The commands, letter by letter as the customer's checklist and runbooks have them, and what each must show.

What a command cannot know is put in its place when it runs: the host, the two tokens, and where Kubernetes would print a
log. The dots of the checklist's budget request stand for fields of one's own; they are left out.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import dataclass

HOST = "https://api.example.com"
#: One pod, beside a port-forward.
POD = "http://localhost:8080"
#: What prints the orchestrators' logs.
POD_LOGS = "kubectl logs -n golden-architecture <orchestrator-pod>"


@dataclass(frozen=True)
class Ran:
    output: str
    code: int

    @property
    def json(self) -> dict[str, object]:
        """What curl printed."""
        answer = json.loads(self.output)
        assert isinstance(answer, dict)
        return answer


Check = Callable[[Ran], bool]


@dataclass(frozen=True)
class Step:
    title: str
    command: str
    #: What it must show, in words, and whether it does.
    shows: str
    check: Check
    #: Done before, by hands that are not the customer's.
    given: str = ""


def says(*texts: str) -> Check:
    return lambda ran: ran.code == 0 and all(text in ran.output for text in texts)


def is_table(*columns: str) -> Check:
    """psql's own table with these columns."""
    return lambda ran: ran.code == 0 and all(column in ran.output.splitlines()[0] for column in columns)


def refuses(status: int, text: str = "") -> Check:
    """A problem document of that status."""
    return lambda ran: ran.json.get("status") == status and text in ran.output


SQL_IN_NAME = "test; DROP TABLE users;"

MIGRATIONS = [
    Step(
        f"Run migration {name[:3]}", f"psql -f migrations/{name}", "it is applied already and changes nothing",
        says("is applied already; nothing was changed"),
    )
    for name in ("001_initial_schema.sql", "002_peer_review.sql", "003_learning_governance.sql")
] + [
    Step("Verify all tables created", r'psql -c "\dt"', "the tables", says(" tasks ", " budget_limits ", " agent_prompts ")),
    Step("Verify all functions", r'psql -c "\df"', "the functions",
         says("can_auto_update_prompt", "approve_prompt_update", "reject_prompt_update")),
    Step("Test governance functions", """psql -c "SELECT can_auto_update_prompt('developer');\"""", "t", says(" t\n")),
]

FUNCTIONAL = [
    Step(
        "1. Test API with valid token",
        'curl -H "Authorization: Bearer $TOKEN" \\\n  https://api.example.com/health', "that it is healthy",
        says('"status":"ok"'),
    ),
    Step("2. Test unauthorized access (should fail)", "curl https://api.example.com/escalations", "401",
         refuses(401)),
    Step(
        "3. Test idempotent budget",
        'curl -X POST https://api.example.com/budget/request \\\n  -H "Authorization: Bearer $TOKEN" \\\n'
        '  -H "Content-Type: application/json" \\\n  -d \'{"request_id": "unique-123", "tokens": 1000}\'',
        "a hold of 1000 tokens", lambda ran: ran.json.get("tokens") == 1000,
    ),
    Step("5. Check circuit breaker stats", "curl https://api.example.com/metrics | grep circuit_breaker_state",
         "the metric", says("# TYPE circuit_breaker_state gauge")),
    Step("6. Check DLQ", 'psql -c "SELECT COUNT(*) FROM dlq_messages WHERE resolved = FALSE;"', "0", says("     0\n")),
    Step("7. Test learning governance", 'psql -c "SELECT * FROM governance_status;"', "every role",
         says(" architect ", " developer ", " reviewer ", " security ", " tester ")),
]

SECURITY = [
    Step(
        "Try SQL injection",
        'curl -X POST https://api.example.com/tasks \\\n  -H "Authorization: Bearer $TOKEN" \\\n'
        f"  -d '{{\"name\": \"{SQL_IN_NAME}\"}}'",
        "422, and which field", refuses(422, '"name"'),
    ),
]

BREAKER = [
    Step(
        "1. Check why it's open", POD_LOGS + ' | grep "circuit.*OPEN"', "the line that says so",
        says('"circuit breaker is OPEN"', "external_api"), given="force-open external_api",
    ),
    Step(
        "3. Manual reset (if safe)",
        "curl -X POST https://api.example.com/admin/circuit-breaker/reset \\\n"
        '  -H "Authorization: Bearer $ADMIN_TOKEN" \\\n  -d \'{"name": "external_api"}\'',
        "that it is closed", says('"external_api"', '"closed"'),
    ),
]

DEAD_LETTERS = [
    Step(
        "1. Check DLQ",
        "psql <<'SQL'\nSELECT original_subject, error_count, data\nFROM dlq_messages\nWHERE resolved = FALSE\n"
        "ORDER BY created_at DESC\nLIMIT 10;\nSQL",
        "its columns", is_table("original_subject", "error_count", "data"),
    ),
    Step(
        "2. Investigate common failures",
        "psql <<'SQL'\nSELECT original_subject, COUNT(*)\nFROM dlq_messages\nWHERE resolved = FALSE\n"
        "GROUP BY original_subject;\nSQL",
        "its columns", is_table("original_subject", "count"),
    ),
]

BUDGET = [
    Step(
        "1. Check current usage", "psql <<'SQL'\nSELECT * FROM budget_limits WHERE tenant_id = 'tenant-123';\nSQL",
        "the account, used up", says("tenant-123", " 1000 "), given="tenant-123 holds all it has",
    ),
    Step(
        "2. Review recent transactions",
        "psql <<'SQL'\nSELECT * FROM budget_transactions\nWHERE tenant_id = 'tenant-123'\nORDER BY timestamp DESC\n"
        "LIMIT 20;\nSQL",
        "what used it up", says("tenant-123", " reserve "),
    ),
    Step(
        "3. Increase limit (if legitimate)",
        "psql <<'SQL'\nUPDATE budget_limits\nSET total_limit = 2000000\nWHERE tenant_id = 'tenant-123';\nSQL",
        "UPDATE 1", says("UPDATE 1"),
    ),
]

LEARNING = [
    Step(
        "1. Check status", "psql <<'SQL'\nSELECT * FROM governance_status WHERE agent_role = 'developer';\nSQL",
        "the role", says("developer"), given="prompt 123 waits for its review",
    ),
    Step(
        "2. Check pending approvals",
        "psql <<'SQL'\nSELECT * FROM agent_prompts\nWHERE approval_status = 'pending_review';\nSQL", "prompt 123",
        says(" 123 ", "developer"),
    ),
    Step(
        "3. Approve/reject",
        "psql <<'SQL'\nSELECT approve_prompt_update(123, 'admin', 'Reviewed and approved');\nSQL", "t", says(" t\n"),
    ),
    Step(
        "Or reset cooldown (emergency)",
        "psql <<'SQL'\nUPDATE learning_governance\nSET last_update_at = NULL\nWHERE agent_role = 'developer';\nSQL",
        "UPDATE 1", says("UPDATE 1"),
    ),
]


def fill(command: str, url: str, logs: str) -> str:
    """The command as this stack needs it."""
    return command.replace(HOST, url).replace(POD, url).replace(POD_LOGS, f"cat {logs}")


def unknowns(command: str) -> list[str]:
    """What nobody has put in its place."""
    return re.findall(r"api\.example\.com|kubectl|<[a-z-]+>", command)
