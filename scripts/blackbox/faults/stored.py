"""Tasks and their histories as the database holds them."""

from __future__ import annotations

import collections
import json

from ..database import Database
from .checker import EventRow, TaskRow


def stored(database: Database) -> tuple[dict[str, TaskRow], dict[str, list[EventRow]]]:
    tasks = {
        row[0]: TaskRow(row[0], row[1], row[2], int(row[3]), int(row[4]), row[5] == "t", row[6] == "t")
        for row in database.rows(
            "SELECT id, name, state, attempt, event_seq, output IS NOT NULL, ended_at IS NOT NULL FROM tasks"
        )
    }
    events: dict[str, list[EventRow]] = collections.defaultdict(list)
    for task, sequence, kind, attempt, data in database.rows(
        "SELECT task_id, sequence, kind, attempt, data FROM task_events ORDER BY task_id, sequence"
    ):
        events[task].append(EventRow(int(sequence), kind, int(attempt), json.loads(data)))
    return tasks, events
