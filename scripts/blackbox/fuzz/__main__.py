"""Bad input: the hand-written table, then schemathesis; nothing may change, break, or go undocumented."""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import time
from pathlib import Path

from ..api import CONNECTION_ERRORS, Answer, Client
from ..stack import PATIENT, Stack, StackError, end_cleanly_on_signals, table
from ..tools import python_with
from .bad_inputs import Case, bodies, money_and_limits, routes, tokens

HERE = Path(__file__).parent
SECONDS_MAX = 400
FUZZ_SECONDS = 120
SEED = 20260101
#: What refused requests must leave as it was.
TABLES = (
    "tasks", "task_events", "idempotency_keys", "outbox", "budget_limits", "budget_reservations", "webhooks",
    "rate_limits",
)
CHECKS = ",".join((
    "not_a_server_error", "status_code_conformance", "content_type_conformance", "response_headers_conformance",
    "response_schema_conformance", "unsupported_method", "allow_header_conformance", "ignored_auth",
))


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="scripts/api-fuzz",
        description="Sends bad input to a private stack: a table of cases, then schemathesis on /openapi.json.",
        epilog="Exit codes: 0 all refused as they should be, 1 findings or the stack broke, 2 wrong usage.",
    )
    parser.add_argument("--seed", type=int, default=SEED, help="of schemathesis's inputs")
    parser.add_argument("--seconds", type=int, default=FUZZ_SECONDS, help="for schemathesis")
    arguments = parser.parse_args()
    end_cleanly_on_signals(SECONDS_MAX + arguments.seconds)
    try:
        with Stack(*PATIENT) as stack:
            table_holds = bad_inputs(stack)
            fuzz_holds = schemathesis(stack, arguments.seed, arguments.seconds)
            if not fuzz_holds:
                print(stack.logs())
    except (StackError, RuntimeError, OSError) as error:
        print(f"The fuzz broke: {error}", file=sys.stderr)
        return 1
    return 0 if table_holds and fuzz_holds else 1


def bad_inputs(stack: Stack) -> bool:
    """Every case answered exactly as the table says, and not a row more or less afterwards."""
    key = "used-before"
    others = stack.client("other").submit({"role": "nobody", "input": {}})
    own = stack.client().submit({"role": "nobody", "input": {}}, key=key)
    if (others.status, own.status) != (202, 202):
        raise RuntimeError(f"good submissions were refused: {others} {own}")
    wait_for_outbox(stack)
    before = counts(stack)
    cases = bodies() + tokens(stack.secret) + money_and_limits(stack.secret)
    cases += routes(stack.secret, others.json["id"], key)
    wrong = [["case", "expected", "answered"]]
    for case in cases:
        answered = describe(case, stack)
        if answered != f"{case.status} {case.code}":
            wrong.append([case.what, f"{case.status} {case.code}", answered])
    after = counts(stack)
    print(f"{len(cases)} bad inputs: {len(cases) - len(wrong) + 1} refused as they should be.", flush=True)
    if len(wrong) > 1:
        print(table(wrong))
    if before != after:
        print(f"They changed the database: {before} became {after}.")
    return len(wrong) == 1 and before == after


def wait_for_outbox(stack: Stack) -> None:
    """The good submissions may still be on their way to the dispatcher and the bus."""
    waiting = "SELECT (SELECT count(*) FROM outbox) + (SELECT count(*) FROM tasks WHERE state = 'queued')"
    for _ in range(100):
        if stack.database.number(waiting) == 0:
            return
        time.sleep(0.1)


def counts(stack: Stack) -> dict[str, int]:
    return {name: int(stack.database.number(f"SELECT count(*) FROM {name}")) for name in TABLES}


def describe(case: Case, stack: Stack) -> str:
    """`<status> <code>`, or what is wrong with the answer."""
    token = stack.token() if case.token is None else case.token
    try:
        answer = Client(stack.urls[0], token or None, timeout=10).request(
            case.method, case.path, case.body, case.headers
        )
    except CONNECTION_ERRORS as error:
        return f"no answer: {error!r}"
    return f"{answer.status} {problem_code(answer)}{missing(case, answer)}"


def problem_code(answer: Answer) -> str:
    if answer.headers.get("content-type") != "application/problem+json":
        return f"as {answer.headers.get('content-type')}: {answer.body[:60]!r}"
    document = answer.json
    if document.get("status") != answer.status or document.get("type") != f"urn:golden:problem:{document.get('code')}":
        return f"a problem that contradicts itself: {document}"
    return str(document["code"])


def missing(case: Case, answer: Answer) -> str:
    absent = [name for name in case.needs if name not in answer.headers]
    return f" without {', '.join(absent)}" if absent else ""


def schemathesis(stack: Stack, seed: int, seconds: int) -> bool:
    """Generated good and bad requests against what the service says of itself."""
    python = python_with(HERE / "requirements.txt")
    command = [
        str(python.with_name("schemathesis")), "run", f"{stack.urls[0]}/openapi.json", "--checks", CHECKS,
        "--max-time", str(seconds), "--seed", str(seed), "--request-timeout", "20", "--workers", "1",
        "--header", f"Authorization: Bearer {stack.token(role='admin')}", "--generation-database", "none", "--no-color",
        # It would set limits that refuse all the rest; its bad inputs stand in the table.
        "--exclude-operation-id", "setRateLimits",
        "--suppress-health-check", "all", "--continue-on-failure",
    ]
    done = subprocess.run(command, cwd=stack.folder, env=os.environ | {"NO_COLOR": "1"}, timeout=seconds + 200)
    return done.returncode == 0


if __name__ == "__main__":
    sys.exit(main())
