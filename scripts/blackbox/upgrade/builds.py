"""Builds that call themselves something else, made of the programs at hand."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from ..stack import ROOT, binaries

#: Those of the embedded stack; the sandbox's are not built everywhere.
PROGRAMS = ("golden", "orchestrator", "peer-hub", "supervisor", "dlq-worker", "agent-worker")
OPTIONAL = ("sandbox-executor", "sandbox-launcher")


def make(folder: Path, name: str, *, broken: str | None = None) -> Path:
    """A copy of the built programs under `folder`, which the file BUILD beside them names; its migrations bring one more
    than this build knows: a column and a table that the programs before need not know. `broken` ends as soon as it is
    started. `folder` is on the file system of the programs.
    """
    programs = folder / "bin"
    programs.mkdir(parents=True)
    for program in (*PROGRAMS, *OPTIONAL):
        if (binaries() / program).exists():
            # A name of its own for the same file, since debug builds are large.
            os.link(binaries() / program, programs / program)
    (programs / "BUILD").write_text(f"{name}\n")
    if broken:
        (programs / broken).unlink()
        (programs / broken).write_text("#!/bin/sh\necho 'this build is broken' >&2\nexit 1\n")
        (programs / broken).chmod(0o755)
    # What sandboxes are made of lies beside the programs, as in a package.
    shutil.copytree(ROOT / "sandbox", folder / "sandbox", ignore=shutil.ignore_patterns("tests", "__pycache__"))
    migrations = folder / "migrations"
    shutil.copytree(ROOT / "migrations", migrations)
    last = max(int(path.name[:3]) for path in migrations.glob("[0-9]*.sql"))
    up = f"""CREATE TABLE next_build (id int PRIMARY KEY);
ALTER TABLE tasks ADD COLUMN next_build text;
INSERT INTO schema_migrations (version, name) VALUES ({last + 1}, 'next_build');
"""
    down = f"""ALTER TABLE tasks DROP COLUMN next_build;
DROP TABLE next_build;
DELETE FROM schema_migrations WHERE version = {last + 1};
"""
    for place, statements in ((migrations, up), (migrations / "down", down)):
        (place / f"{last + 1:03}_next_build.sql").write_text(f"BEGIN;\n{statements}COMMIT;\n")
    return programs
