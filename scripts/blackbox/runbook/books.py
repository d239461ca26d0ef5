"""The runbooks of docs/runbooks: their commands, to be run as they are written."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from ..stack import ROOT

FOLDER = ROOT / "docs" / "runbooks"
BLOCK = re.compile(r"^```(sql|bash)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True)
class Block:
    book: str
    #: Of the block in its runbook, from 1.
    number: int
    #: As the customer's steps have theirs.
    text: str

    @property
    def command(self) -> str:
        """For bash, ending with the first part that fails."""
        return self.text.replace("psql <<", "psql -v ON_ERROR_STOP=1 <<", 1) if self.is_sql else f"set -e\n{self.text}"

    @property
    def is_sql(self) -> bool:
        return self.text.startswith("psql <<")


def blocks(folder: Path = FOLDER) -> Iterator[Block]:
    for path in sorted(folder.glob("*.md")):
        for number, (language, text) in enumerate(BLOCK.findall(path.read_text()), 1):
            yield Block(path.stem, number, f"psql <<'SQL'\n{text}SQL" if language == "sql" else text.rstrip("\n"))
