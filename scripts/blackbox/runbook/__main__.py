"""Runs every command of the checklist and the runbooks against a private stack, and says which show what they must."""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from collections.abc import Sequence

from ..api import Answer, Client
from ..stack import PATIENT, ROOT, Stack, StackError, end_cleanly_on_signals
from .books import blocks
from .steps import (BREAKER, BUDGET, DEAD_LETTERS, FUNCTIONAL, LEARNING, MIGRATIONS, SECURITY, SQL_IN_NAME, Ran, Step,
                    fill, unknowns)

SECONDS_MAX = 240
COMMAND_SECONDS_MAX = 60
JSON = {"Content-Type": "application/json"}


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="scripts/runbook",
        description="Runs the customer's commands as they are written: checklist, security tests, runbooks.",
        epilog="Exit codes: 0 each shows what it must, 1 one does not or the stack broke, 2 wrong usage.",
    )
    parser.parse_args()
    end_cleanly_on_signals(SECONDS_MAX)
    try:
        with Stack(*PATIENT) as stack:
            return Runbook(stack).run()
    except (StackError, RuntimeError, OSError, subprocess.TimeoutExpired) as error:
        print(f"The runbook broke: {error}", file=sys.stderr)
        return 1


class Runbook:
    def __init__(self, stack: Stack) -> None:
        self._stack = stack
        self._failures = 0
        self._logs = str(stack.folder / "logs" / "orchestrator*.log")

    def run(self) -> int:
        self._chapter("Schema", MIGRATIONS)
        self._open_account("default", 1_000_000)
        self._chapter("Functional validation", FUNCTIONAL)
        self._again(FUNCTIONAL[2])
        self._chapter("Security validation", SECURITY)
        self._same_text_in_input()
        self._force_open("external_api")
        self._chapter("Circuit breaker stuck OPEN", BREAKER)
        self._chapter("DLQ messages piling up", DEAD_LETTERS)
        self._open_account("tenant-123", 1_000)
        self._expect("the budget is used up", self._reserve("all", 1_000).status == 201)
        self._expect("so that more is refused", self._reserve("more", 1).status == 402)
        self._chapter("Budget exhausted", BUDGET)
        self._expect("the raised limit counts at once", self._reserve("after", 1_000_000).status == 201)
        self._pending_prompt()
        self._chapter("Learning updates blocked", LEARNING)
        self._books()
        print("Every command shows what it must." if not self._failures else f"{self._failures} do not.")
        return 1 if self._failures else 0

    def _chapter(self, title: str, steps: Sequence[Step]) -> None:
        print(f"\n== {title}", flush=True)
        for step in steps:
            ran = self._bash(step.command)
            self._expect(f"{step.title}: shows {step.shows}", step.check(ran), ran)

    def _books(self) -> None:
        """The customer's commands stand in docs/runbooks as they are; every other one there is understood and succeeds.
        What it shows depends on the trouble."""
        print("\n== Runbooks", flush=True)
        customers = {step.command for step in (*BREAKER, *DEAD_LETTERS, *BUDGET, *LEARNING)}
        found = list(blocks())
        for missing in customers - {block.text for block in found}:
            self._expect(f"docs/runbooks has: {missing}", False)
        for block in found:
            if block.text not in customers:
                ran = self._bash(block.command)
                is_problem = ran.output.startswith('{"type":"')
                self._expect(f"{block.book}, command {block.number}", ran.code == 0 and not is_problem, ran)

    def _bash(self, command: str) -> Ran:
        filled = fill(command, self._stack.urls[0], self._logs)
        if unknown := unknowns(filled):
            raise RuntimeError(f"{unknown} was not put in its place in: {command}")
        tokens = {"TOKEN": self._stack.token(), "ADMIN_TOKEN": self._stack.token(role="admin")}
        # psql reads no settings of whoever runs this, and shows tables as it does by default.
        environment = self._stack.database.environment | tokens | {"PSQLRC": "/dev/null", "PAGER": "cat"}
        done = subprocess.run(
            ["bash", "-c", filled], cwd=ROOT, env=os.environ | environment, text=True, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT if command.startswith("psql") else subprocess.DEVNULL,
            timeout=COMMAND_SECONDS_MAX,
        )
        return Ran(done.stdout, done.returncode)

    def _expect(self, what: str, holds: bool, ran: Ran | None = None) -> None:
        print(f"{'ok    ' if holds else 'WRONG '} {what}", flush=True)
        if holds:
            return
        self._failures += 1
        if ran:
            print(f"       exit {ran.code}: {ran.output[:2000]}")

    # What is given before a command, and what follows from it.

    def _client(self, tenant: str, role: str) -> Client:
        return self._stack.client(tenant, role)

    def _open_account(self, tenant: str, limit: int) -> None:
        body = json.dumps({"project": "default", "total_limit": limit}).encode()
        answer = self._client(tenant, "admin").request("PUT", "/budget/limits", body, JSON)
        if answer.status != 200:
            raise RuntimeError(f"the account of {tenant} was not opened: {answer}")

    def _again(self, step: Step) -> None:
        first, second = self._bash(step.command), self._bash(step.command)
        self._expect("Run twice with same request_id, returns the same result", first == second, second)
        held = self._client("default", "developer").request("GET", "/budget/state").json
        self._expect("and holds it once", '"reserved": 1000' in json.dumps(held), Ran(json.dumps(held), 0))

    def _same_text_in_input(self) -> None:
        client = self._client("default", "developer")
        answer = client.submit({"input": SQL_IN_NAME, "role": "nobody"})
        stored = client.request("GET", f"/tasks/{answer.json.get('id')}")
        holds = answer.status == 202 and f'"input":"{SQL_IN_NAME}"'.encode() in stored.body
        self._expect("the same text as input is accepted and returned byte for byte", holds, Ran(str(stored.body), 0))
        users = self._stack.database.number("SELECT count(*) FROM pg_tables WHERE tablename = 'users'")
        self._expect("and the table it speaks of is still there", users == 1)

    def _force_open(self, name: str) -> None:
        body = json.dumps({"name": name, "reason": "an outage of theirs"}).encode()
        answer = self._client("default", "admin").request("POST", "/admin/circuit-breaker/force-open", body, JSON)
        if answer.status != 200:
            raise RuntimeError(f"the breaker was not opened: {answer}")

    def _reserve(self, request: str, tokens: int) -> Answer:
        body = json.dumps({"request_id": request, "tokens": tokens}).encode()
        return self._client("tenant-123", "developer").request("POST", "/budget/request", body, JSON)

    def _pending_prompt(self) -> None:
        self._stack.database.execute(
            "INSERT INTO agent_prompts (id, agent_role, version, base_version, content, proposed_by, approval_status, "
            "decision_reason) VALUES (123, 'developer', 1, 0, 'Test first.', 'supervisor', 'pending_review', "
            "'human_approval_required')"
        )


if __name__ == "__main__":
    sys.exit(main())
