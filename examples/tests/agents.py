"""Runs example agents the way agent-worker does: a work item in, JSON out."""

import hashlib
import json
import os
import pathlib
import subprocess
import sys

EXAMPLES = pathlib.Path(__file__).resolve().parent.parent
AGENTS = EXAMPLES / "agents"
REVIEWERS = {"security": "security_reviewer", "reviewer": "quality_reviewer", "tester": "docs_tests_reviewer"}
SECONDS_MAX = 60
sys.path.insert(0, str(AGENTS))


def run(agent, text):
    """The finished process of an agent that read `text`."""
    data = text if isinstance(text, bytes) else text.encode()
    environment = {"PATH": os.environ["PATH"], "LANG": "C.UTF-8", "PYTHONDONTWRITEBYTECODE": "1"}
    return subprocess.run(
        [sys.executable, AGENTS / f"{agent}.py"],
        input=data,
        capture_output=True,
        env=environment,
        timeout=SECONDS_MAX,
        check=False,
    )


def review_item(artifact_text, digest=None):
    """A work item of the kind `review`, around the artifact's text as it is."""
    digest = digest or hashlib.sha256(artifact_text.encode()).hexdigest()
    return (
        f'{{"v": 1, "task_id": "0197a3c4-8f00-7c3a-9d52-1b2c3d4e5f60", "kind": "review", "attempt": 1,\n'
        f' "input" : {{"session_id": "s", "round": 1, "artifact_sha256": "{digest}", "artifact": {artifact_text} }} }}'
    )


def vote(agent, artifact_text, digest=None):
    """An agent's vote, checked against what the peer hub takes."""
    done = run(agent, review_item(artifact_text, digest))
    assert done.returncode == 0, done.stderr.decode()
    made = json.loads(done.stdout)
    assert made["vote"] in ("approve", "conditional", "reject", "abstain")
    assert len(made["rationale"].encode()) <= 4096 and made["rationale"]
    assert len(made["concerns"]) <= 50 and all(isinstance(c, dict) for c in made["concerns"])
    assert b"\\u0000" not in done.stdout and b"\0" not in done.stdout
    assert len(json.dumps(made["concerns"], ensure_ascii=False).encode()) <= 32 << 10
    return made


def vote_on(agent, files):
    """A vote on files."""
    return vote(agent, json.dumps({"files": files}, ensure_ascii=False))
