"""What a stack's real Prometheus and Alertmanager say."""

from __future__ import annotations

import json
import time
import urllib.parse
import urllib.request
from collections.abc import Callable
from typing import Any

from ..stack import Stack

REQUEST_SECONDS_MAX = 15


class Watch:
    def __init__(self, stack: Stack) -> None:
        addresses = {str(entry["name"]): str(entry.get("address")) for entry in stack.status()["processes"]}
        self.prometheus = f"http://{addresses['prometheus']}"
        self.alertmanager = f"http://{addresses['alertmanager']}"
        self.dashboards = f"http://{addresses['dashboards']}"

    def firing(self) -> list[dict[str, str]]:
        """The labels of every alert that Alertmanager holds; it lets resolved ones go."""
        return [alert["labels"] for alert in get(f"{self.alertmanager}/api/v2/alerts?active=true")]

    def fires(self, name: str, labels: dict[str, str]) -> bool:
        return any(found.items() >= ({"alertname": name} | labels).items() for found in self.firing())

    def targets(self) -> list[str]:
        """The addresses that Prometheus scrapes."""
        return [str(target["scrapeUrl"]) for target in get(f"{self.prometheus}/api/v1/targets")["data"]["activeTargets"]]

    def query(self, expression: str) -> list[dict[str, Any]]:
        """The series an expression gives now."""
        answer = get(f"{self.prometheus}/api/v1/query?{urllib.parse.urlencode({'query': expression})}")
        if answer["status"] != "success":
            raise RuntimeError(f"{expression}: {answer}")
        found: list[dict[str, Any]] = answer["data"]["result"]
        return found


def get(url: str) -> Any:
    with urllib.request.urlopen(url, timeout=REQUEST_SECONDS_MAX) as response:
        return json.load(response)


def wait(seconds: float, holds: Callable[[], bool], every: float = 0.5) -> float | None:
    """How long it took until it held; None when it never did."""
    start = time.monotonic()
    while not holds():
        if time.monotonic() - start > seconds:
            return None
        time.sleep(every)
    return time.monotonic() - start
