"""Dead letters from outside, on one private stack: hostile messages on every subject, alerts at a real Alertmanager and
a chat's webhook, replays of every kind, automatic answers, the archive."""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

from ..nats import NATS, NATSError
from ..stack import Stack, StackError, end_cleanly_on_signals
from .hostile import hostile
from .receivers import Alertmanager, Chat
from .story import Story
from .subjects import ROWS, declared

SECONDS_MAX = 400


def main() -> int:
    argparse.ArgumentParser(
        prog="scripts/dead-letters",
        description="Sends a private stack what nobody can process, and looks what becomes of it.",
        epilog="Exit codes: 0 all as documented, 1 findings or the stack broke.",
    ).parse_args()
    end_cleanly_on_signals(SECONDS_MAX)
    if declared() != set(ROWS):
        print(f"Subjects without a row, or rows without a subject: {declared() ^ set(ROWS)}", file=sys.stderr)
        return 1
    try:
        with tempfile.TemporaryDirectory(prefix="golden-letters-") as folder:
            return 0 if everything(Path(folder)) else 1
    except (StackError, NATSError, RuntimeError, OSError) as error:
        print(f"The test broke: {error}", file=sys.stderr)
        return 1


def everything(folder: Path) -> bool:
    archive = folder / "archive"
    with Alertmanager(folder) as alertmanager, Chat() as chat:
        settings = {
            "GOLDEN_DLQ_ALERTMANAGER": alertmanager.url, "GOLDEN_DLQ_WEBHOOK": chat.url,
            "GOLDEN_DLQ_ARCHIVE": str(archive), "GOLDEN_DLQ_KEEP_DAYS": "1", "GOLDEN_DLQ_ANSWER_SECONDS": "2",
        }
        options = [part for name, value in settings.items() for part in ("--env", f"{name}={value}")]
        with Stack(*options) as stack, NATS(stack.status()["stores"]["nats"]) as nats:
            holds = hostile(stack, nats)
            story = Story(stack, nats, alertmanager, chat, archive)
            holds = story.told() and holds
            if not holds:
                print(stack.logs())
            return holds


if __name__ == "__main__":
    sys.exit(main())
