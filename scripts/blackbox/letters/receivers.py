"""Who hears of alerts: a real Alertmanager, and a stand-in for a chat's incoming webhook."""

from __future__ import annotations

import http.server
import json
import shutil
import subprocess
import threading
import time
import urllib.request
from pathlib import Path
from types import TracebackType
from typing import Any

from ..stack import StackError, free_ports

READY_SECONDS_MAX = 30


class Alertmanager:
    """Debian's prometheus-alertmanager, alone and told by nobody else."""

    def __init__(self, folder: Path) -> None:
        program = shutil.which("prometheus-alertmanager")
        if program is None:
            raise StackError("prometheus-alertmanager is missing: apt-get install -y prometheus-alertmanager")
        self.url = f"http://127.0.0.1:{free_ports(1)}"
        configuration = folder / "alertmanager.yml"
        configuration.write_text("route: {receiver: nobody}\nreceivers: [{name: nobody}]\n")
        self._log = (folder / "alertmanager.log").open("wb")
        self._process = subprocess.Popen(
            [program, f"--config.file={configuration}", f"--storage.path={folder / 'alertmanager'}",
             f"--web.listen-address={self.url.removeprefix('http://')}", "--cluster.listen-address="],
            stdin=subprocess.DEVNULL, stdout=self._log, stderr=self._log,
        )

    def __enter__(self) -> Alertmanager:
        limit = time.monotonic() + READY_SECONDS_MAX
        while time.monotonic() < limit:
            try:
                with urllib.request.urlopen(f"{self.url}/-/ready", timeout=2):
                    return self
            except OSError:
                time.sleep(0.1)
        self.__exit__(None, None, None)
        raise StackError("prometheus-alertmanager did not become ready")

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.terminate()
        try:
            self._process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            self._process.kill()
        self._log.close()

    def firing(self) -> list[tuple[str, str]]:
        """Names and severities of the alerts that are on."""
        with urllib.request.urlopen(f"{self.url}/api/v2/alerts?active=true", timeout=10) as response:
            alerts: list[Any] = json.load(response)
        return sorted((alert["labels"]["alertname"], alert["labels"]["severity"]) for alert in alerts)


class Chat:
    """Takes `{"text": …}` as Slack does; at first it is broken."""

    BROKEN_ANSWERS = 3

    def __init__(self) -> None:
        self.texts: list[str] = []
        self.refused = 0
        chat = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                if chat.refused < Chat.BROKEN_ANSWERS:
                    chat.refused += 1
                    self.send_response(500)
                else:
                    chat.texts.append(str(body["text"]))
                    self.send_response(200)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, format: str, *args: object) -> None:
                """Says nothing."""

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}/services/T0/B0/secret"
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)

    def __enter__(self) -> Chat:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()
