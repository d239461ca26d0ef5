"""What the scripts do before they start anything, with stand-ins for what they would build and start."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import tempfile
import unittest
from pathlib import Path

from .stack import ROOT

PREPARED = sorted(
    path.name for path in (ROOT / "scripts").iterdir() if path.is_file() and "prepare.sh" in path.read_text()
)
SAMPLE = "".join(f"agent-{role}-1  ready\n" for role in ("developer", "security", "reviewer", "tester", "log-analyst"))
STAND_INS = {
    "swift": 'case "$*" in *--show-bin-path*) echo "$STAND_INS" ;; esac',
    "dpkg-query": "echo installed",
    "golden": 'echo "$* $GOLDEN_URL" >>"$STAND_INS/calls"\n'
    'if [ "$1" = status ]; then cat "$STAND_INS/status" && [ ! -e "$STAND_INS/unwell" ]; fi',
}
# As `scripts/test` runs a suite; this one stands still, in a process group of its own.
LIMITED = """
set -euo pipefail
source scripts/lib/limit.sh
trap end_limited EXIT
run_limited "$1" "$2" bash -c 'set -m; (trap "" TERM; echo "$BASHPID"; exec sleep 300) & wait' || echo "code $?"
run_limited 60 "$2" echo next
"""


def is_running(process: int) -> bool:
    try:
        return ") Z " not in Path(f"/proc/{process}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False


def run(*command: str, path: str, **more: str) -> subprocess.CompletedProcess[str]:
    environment = {"PATH": path, "HOME": "/tmp", "GOLDEN_BIN": "/nowhere", **more}
    return subprocess.run(
        command, capture_output=True, text=True, timeout=60, cwd=ROOT, env=environment, stdin=subprocess.DEVNULL
    )


def prepare(*programs: str) -> subprocess.CompletedProcess[str]:
    script = 'programs=("$@"); set --; source scripts/blackbox/prepare.sh; prepare "${programs[@]}"'
    return run("bash", "-c", script, "bash", *programs, path="/usr/local/bin:/usr/bin:/bin")


class PrepareTests(unittest.TestCase):
    def test_what_debian_keeps_out_of_an_ordinary_path_is_found(self) -> None:
        # As nats-server is, but on every machine.
        done = prepare("ldconfig")
        self.assertEqual((done.returncode, done.stderr), (0, ""))

    def test_what_is_missing_is_named_with_its_package(self) -> None:
        done = prepare("python3", "no-such-program")
        self.assertEqual(done.returncode, 1)
        self.assertIn("Missing: no-such-program.", done.stderr)
        self.assertTrue(done.stderr.endswith("apt-get install no-such-program\n"), done.stderr)

    def test_help_needs_nothing_but_python(self) -> None:
        self.assertGreaterEqual(len(PREPARED), 10)
        with tempfile.TemporaryDirectory() as folder:
            for program in ("bash", "dirname", "python3"):
                (Path(folder) / program).symlink_to(subprocess.check_output(["which", program], text=True).strip())
            for name in PREPARED:
                done = run("/usr/bin/env", "bash", f"scripts/{name}", "--help", path=folder)
                self.assertEqual(done.returncode, 0, f"{name}: {done.stderr}")
                self.assertTrue(done.stdout.startswith(f"usage: scripts/{name} "), name)


class PartsTests(unittest.TestCase):
    def test_a_part_that_there_is_not_is_refused_before_anything_is_installed(self) -> None:
        for arguments in (["styl"], ["style", ""], ["unit", "nonsense"]):
            done = run("scripts/test", *arguments, path=os.environ["PATH"])
            self.assertEqual((done.returncode, done.stdout), (2, ""), arguments)
            self.assertIn("scripts/test knows: style unit", done.stderr)

    def test_help_names_the_parts(self) -> None:
        done = run("scripts/test", "--help", path=os.environ["PATH"])
        self.assertEqual(done.returncode, 0)
        self.assertIn("Parts: style unit", done.stdout)


class LimitTests(unittest.TestCase):
    def setUp(self) -> None:
        log = tempfile.NamedTemporaryFile()
        self.addCleanup(log.close)
        # Where these tests run in the background, their children ignore it.
        self.command = ["env", "--default-signal=INT", "bash", "-c", LIMITED, "bash"]
        self.log = log.name

    def test_what_stands_still_has_ended_with_its_children_when_the_next_begins(self) -> None:
        done = run(*self.command, "5", self.log, path=os.environ["PATH"])
        self.assertRegex(done.stdout, r"^\d+\ncode 124\nnext\n$", done.stderr)
        self.assertFalse(is_running(int(done.stdout.split()[0])))
        self.assertEqual(Path(self.log).read_text().split(), [done.stdout.split()[0], "next"])

    def test_an_interrupt_ends_all_of_it(self) -> None:
        command = [*self.command, "60", self.log]
        with subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, cwd=ROOT, start_new_session=True
        ) as script:
            assert script.stdout is not None
            process = int(script.stdout.readline())
            os.killpg(script.pid, signal.SIGINT)
            self.assertEqual(script.wait(timeout=60), -signal.SIGINT)
        self.assertFalse(is_running(process))


class RunTests(unittest.TestCase):
    def setUp(self) -> None:
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name)
        for name, body in STAND_INS.items():
            program = self.folder / name
            program.write_text(f"#!/bin/sh\n{body}\n")
            program.chmod(0o755)
        (self.folder / "task.json").write_text("{}")

    def run_sample(self, status: str, *options: str, **more: str) -> tuple[subprocess.CompletedProcess[str], list[str]]:
        """And what `golden` was called for. The data folder holds what `settings` wrote."""
        more = {"GOLDEN_DATA": str(self.folder), **more}
        (self.folder / "status").write_text(status)
        (self.folder / "calls").unlink(missing_ok=True)
        done = run(
            "scripts/run", *options, str(self.folder / "task.json"), path=f"{self.folder}:{os.environ['PATH']}",
            STAND_INS=str(self.folder), GOLDEN_URL="http://elsewhere", GOLDEN_TOKEN="t", **more,
        )
        calls = (self.folder / "calls").read_text().splitlines()
        self.assertNotIn("elsewhere", "".join(calls))
        return done, [call.split()[0] for call in calls]

    def settings(self, agents: list[str] | None = None, **more: object) -> None:
        """Writes what the stack was last started with: the sample's agents unless others are given."""
        if agents is None:
            array = re.search(r"^agents=\(\n(.*?)^\)", (ROOT / "scripts" / "run").read_text(), re.DOTALL | re.MULTILINE)
            assert array is not None
            agents = re.findall(r'"(.+)"', array[1])
            self.assertEqual(len(agents), 5)
        words = [re.split("[@=]", agent.replace("=", "@local=", 1) if "@" not in agent else agent) for agent in agents]
        entries = [dict(zip(("role", "owner", "command"), entry)) for entry in words]
        last = {"v": 1, "orchestrators": 1, "slots": 4, "environment": {}, "agents": entries, **more}
        (self.folder / "settings.json").write_text(json.dumps(last))

    def test_a_stack_of_somebody_s_own_is_left_alone_unless_it_is_to_be_replaced(self) -> None:
        for word in ("ready", "degraded", "starting"):
            done, calls = self.run_sample(f"Stack {word} in /x\nagent-mine-1  ready\n")
            self.assertEqual((done.returncode, calls), (1, ["status"]), done.stderr)
            self.assertIn("scripts/run --replace", done.stderr)
        done, calls = self.run_sample("Stack ready in /x\nagent-mine-1  ready\n", "--replace")
        self.assertEqual((done.returncode, calls), (0, ["status", "down", "up", "submit"]), done.stderr)
        self.assertIn("What runs is stopped first; its data stays.", done.stdout)

    def test_one_that_is_being_started_is_called_so(self) -> None:
        for rows in ("", SAMPLE):
            done, calls = self.run_sample(f"Stack starting in /x\n{rows}")
            self.assertEqual((done.returncode, calls), (1, ["status"]), done.stderr)
            self.assertIn("A stack is being started", done.stderr)

    def test_what_to_try_next_is_for_the_stack_that_was_started(self) -> None:
        done, _ = self.run_sample("", GOLDEN_DATA="of mine")
        hints = [line for line in done.stdout.splitlines() if line.startswith("  golden ") or "Stop it with" in line]
        self.assertEqual(len(hints), 8, done.stdout)
        self.assertEqual([line for line in hints if " --data of\\ mine" not in line and "--help" not in line], [])
        # Without a name it is this checkout's own folder: what that holds is not looked at where all is well.
        done, _ = self.run_sample(f"Stack ready in /x\n{SAMPLE}", GOLDEN_DATA="")
        self.assertIn("/golden down\n", done.stdout)
        self.assertNotIn("--data", done.stdout)

    def test_the_sample_s_own_stack_is_used_again(self) -> None:
        done, calls = self.run_sample(f"Stack ready in /x\n{SAMPLE}")
        self.assertEqual((done.returncode, calls), (0, ["status", "submit"]), done.stderr)

    def test_the_sample_s_own_stack_is_started_anew_where_it_is_unwell(self) -> None:
        (self.folder / "unwell").touch()
        self.settings()
        done, calls = self.run_sample(f"Stack degraded in /x\n{SAMPLE}")
        self.assertEqual((done.returncode, calls), (0, ["status", "down", "up", "submit"]), done.stderr)

    def test_what_does_not_run_is_started(self) -> None:
        for status in ("", "Stack stopped in /x\n", "Stack lost in /x\nagent-mine-1  gone\n"):
            for agents in (None, []):
                self.settings(agents)
                done, calls = self.run_sample(status)
                self.assertEqual((done.returncode, calls), (0, ["status", "down", "up", "submit"]), done.stderr)
                self.assertNotIn("What runs is stopped", done.stdout)

    def test_agents_and_settings_of_somebody_s_own_are_not_replaced_unasked(self) -> None:
        (self.folder / "unwell").touch()
        mine = ["developer=python3 mine.py", *(f"{role}@peers=x" for role in ("security", "reviewer", "tester"))]
        cases: list[tuple[list[str] | None, dict[str, object]]] = [
            (mine, {}), (None, {"environment": {"K": "V"}}), ([], {"environment": {"K": "V"}}),
            (None, {"orchestrators": 2}), (None, {"slots": 8}), (None, {"environment": None}),
        ]
        for agents, more in cases:
            self.settings(agents, **more)
            for status in ("Stack stopped in /x\n", f"Stack degraded in /x\n{SAMPLE}"):
                for options in ([], ["--once"]):
                    done, calls = self.run_sample(status, *options)
                    self.assertEqual((done.returncode, calls), (1, ["status"]), f"{agents} {more}: {done.stderr}")
                    self.assertIn("scripts/run --replace", done.stderr)
                done, calls = self.run_sample(status, "--replace")
                self.assertEqual((done.returncode, calls), (0, ["status", "down", "up", "submit"]), done.stderr)
        (self.folder / "settings.json").write_text("{")
        self.assertEqual(self.run_sample("Stack stopped in /x\n")[1], ["status"])


if __name__ == "__main__":
    unittest.main()
